import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.support.evaluation_page import everything
from tests.support.report_page import Page, decode
from unetflow.reporting.error_pictures import draw_errors, draw_outlines, find_errors
from unetflow.reporting.evaluation_charts import bin_by, draw_reliability
from unetflow.reporting.evaluation_report import choose_extremes, name_score
from unetflow.reporting.html_page import decimals
from unetflow.visualization.overlays import PREDICTION_COLOUR, TRUTH_COLOUR

LABELS = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).choice([0, 0, 1, 2, 255], (9, 11)).astype(np.uint8)
)


@given(LABELS, LABELS)
def test_each_wrong_pixel_is_of_one_kind_and_drawn_in_its_way(truth, found):
    found = np.where(found == 255, 0, found)
    errors = find_errors(truth, found)
    grey = np.full((*truth.shape, 3), 99, np.uint8)
    drawn = draw_errors(grey, truth, found)
    for place in np.ndindex(truth.shape):
        true, said, colour = truth[place], found[place], tuple(drawn[place].tolist())
        kinds = tuple(mask[place] for mask in errors.values())
        if true == 255:
            assert not any(kinds)
            assert colour in ((49,) * 3, (200,) * 3)
        elif true == said:
            assert not any(kinds)
            assert colour == ((99,) * 3 if true else (49,) * 3)
        else:
            assert kinds == (said == 0, true == 0, true != 0 and said != 0)
            striped, dotted = {PREDICTION_COLOUR, (0, 0, 0)}, {(204, 121, 167), (255,) * 3}
            assert colour in ({TRUTH_COLOUR}, striped, dotted)[kinds.index(True)]


def test_coinciding_outlines_are_both_visible():
    label = np.zeros((40, 40), np.uint8)
    label[10:30, 10:30] = 1
    drawn = draw_outlines(np.zeros((40, 40, 3), np.uint8), label, label)
    edge = drawn[10, 10:30]
    for colour in (TRUTH_COLOUR, PREDICTION_COLOUR):
        assert (edge == colour).all(axis=1).sum() >= 8
    assert not drawn[11:29, 11:29].any()


def test_worst_image_on_the_page_shows_the_missed_pixels():
    figure = Page(everything()).figures[0]
    assert figure["text"][0] == "s002"
    picture = decode(figure["src"])  # the figure's last picture: the errors
    assert picture.shape[:2] == (62, 96)
    assert "taken for another class" in figure["text"][2]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(1, 5))
def test_worst_median_and_best_are_chosen_each_once(dices, most):
    table = pd.DataFrame({"id": [f"s{n}" for n in range(len(dices))], "dice": dices})
    chosen = choose_extremes(table, most)
    ids = [i for part in chosen.values() for i in part]
    shown = table.set_index("id").loc[ids, "dice"].tolist()
    assert list(chosen) == ["worst", "median", "best", "false alarms"]
    assert len(ids) == len(set(ids)) == (min(3 * most, 3 * (len(dices) // 3)) or len(dices))
    assert shown == sorted(shown)
    assert (shown[0], shown[-1]) == (min(dices), max(dices))
    if len(dices) % 2 and len(dices) >= 3 and len(chosen["median"]) % 2:
        assert np.median(dices) in shown


@given(hnp.arrays(float, st.integers(1, 60), elements=st.integers(0, 9).map(float)))
def test_bins_hold_every_image_once_in_ascending_order(values):
    table = pd.DataFrame({"size": values, "dice": np.linspace(0, 1, len(values))})
    bins = bin_by(table, "size")
    assert bins["images"].sum() == len(table)
    assert len(bins) <= 5
    assert (bins["low"] <= bins["high"]).all()
    assert (bins["low"].to_numpy()[1:] > bins["high"].to_numpy()[:-1]).all()
    for row in bins.itertuples():
        members = table[table["size"].between(row.low, row.high)]
        assert (len(members), members["dice"].median()) == (row.images, row.median)


def test_bins_without_pixels_are_left_out_of_the_calibration_curve():
    bins = [
        {"pixels": 3, "mean_probability": 0.2, "share_true": 0.1},
        {"pixels": 0, "mean_probability": None, "share_true": None},
        {"pixels": 1, "mean_probability": 0.8, "share_true": 1.0},
    ]
    lines = draw_reliability({"after": {"bins": bins}}).axes[0].lines
    assert [line.get_label() for line in lines] == ["perfect", "after calibration"]
    np.testing.assert_array_equal(lines[1].get_xydata(), [[0.2, 0.1], [0.8, 1.0]])


def test_format_of_names_and_numbers():
    names = ["dice", "iou", "surface_dice_cell wall", "otsu_dice", "rand_f1"]
    written = ["Dice", "IoU", "Surface dice of cell wall", "Dice of Otsu's threshold", "Rand f1"]
    assert [name_score(name, ["cell wall"]) for name in names] == written
    assert [decimals(value) for value in (0.12345, 3, None, np.nan, "s1", True)] == [
        "0.123",
        "3",
        "-",
        "-",
        "s1",
        "True",
    ]
