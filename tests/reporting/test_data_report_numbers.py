import base64

import numpy as np
import pandas as pd
import pytest

from tests.support.report_page import (
    CLASSES,
    DUPLICATES,
    LEAKS,
    QUARANTINE,
    Samples,
    read_findings,
    report,
    some,
    square,
    tabulate,
)
from unetflow.data.intensity import intensity_histogram
from unetflow.data.samples import Sample
from unetflow.reporting.data_charts import (
    describe_intensities,
    draw_content,
    draw_intensities,
    draw_object_areas,
    draw_sizes,
    merge_areas,
)
from unetflow.reporting.data_report import ask_about_classes, count_problems, suspect_pairs
from unetflow.reporting.data_tables import (
    class_table,
    complete,
    fold_table,
    object_table,
    split_table,
)
from unetflow.reporting.html_page import count_of, data_size, listing, percent, render, to_svg


def test_class_shares_count_pixels_that_are_not_ignored():
    half = np.zeros((10, 10), np.uint8)
    half[:5], half[5] = 255, 1  # of 50 pixels that count 10 are of class 1
    large = np.zeros((20, 20), np.uint8)
    large[0, :6] = 1  # of 400 pixels 6
    bare = np.zeros((10, 10), np.uint8)
    samples = Samples(
        {n: Sample(label[:, :, np.newaxis], label) for n, label in enumerate((half, large, bare))}
    )
    table = complete(tabulate(samples, ["train", "train", "test"]), CLASSES)
    shown = class_table(table, CLASSES)
    assert shown.columns.tolist() == ["class", "training", "test", "absent from images"]
    assert shown.to_numpy().tolist() == [
        ["background", "96.4 %", "100.0 %", 0],
        ["nucleus", "3.6 %", "0 %", 1],
    ]
    assert table["foreground"].tolist() == pytest.approx([10 / 50, 6 / 400, 0])


def test_splits_folds_and_groups_are_counted():
    table = complete(some(10)[1], CLASSES)
    table = table.assign(group=["a", "a", "b", "c", "d", "e", "f", "b", "g", "h"])
    table["fold"] = [0, 1, -1, 0, -1, 0, 1, -1, 1, -1]
    assert split_table(table).iloc[:, :4].to_numpy().tolist() == [
        ["training", 6, "60.0 %", 5],
        ["validation", 2, "20.0 %", 1],
        ["test", 2, "20.0 %", 2],
        ["all", 10, "100.0 %", 8],
    ]
    assert fold_table(table).to_numpy().tolist() == [[0, 3, 3], [1, 3, 3]]
    assert fold_table(table.assign(fold=-1)).empty


def test_fully_ignored_image_does_not_change_the_shares():
    _, table = some(10)
    spoilt = {"ignored": 1.0, "fraction_background": 0.0, "fraction_nucleus": 0.0}
    more = pd.concat([table, table.assign(**spoilt)])
    before, after = (class_table(complete(rows, CLASSES), CLASSES) for rows in (table, more))
    assert after.iloc[:, :-1].equals(before.iloc[:, :-1])
    assert after["absent from images"].tolist() == (before["absent from images"] + 10).tolist()


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        (np.uint8, 0, 255),
        (np.uint8, 7, 7),
        (np.uint16, 0, 4095),
        (np.uint16, 300, 65000),
        (np.float32, -3, 8),
        (np.float32, 2, 2),
    ],
)
def test_intensity_shares_are_those_of_the_pixels(dtype, low, high):
    random = np.random.default_rng(2)
    samples = Samples({})
    for n in range(4):
        image = (low + random.random((30, 20, 2)) ** 2 * (high - low + 0.99)).astype(dtype)
        image = np.round(image * 64) / 64 if dtype == np.float32 else image
        image.ravel()[:2] = low, high
        samples[n] = Sample(image.astype(dtype), np.zeros((30, 20), np.uint8))
    table = tabulate(samples, ["train", "test", "train", "validation"])
    found = describe_intensities(table, samples)
    for name, members in (("training", (0, 2)), ("validation and test", (1, 3))):
        for channel in range(2):
            pixels = np.concatenate([samples[n].image[:, :, channel].ravel() for n in members])
            counts, _ = np.histogram(pixels.astype(np.float64), found.edges)
            np.testing.assert_allclose(found.shares[name][channel], counts / len(pixels))
    every = np.concatenate([sample.image.ravel() for sample in samples.values()])
    assert (found.lowest, found.highest) == (every.min(), every.max())
    assert found.beyond == pytest.approx(np.mean(every > found.edges[-1]))
    assert 1 <= len(found.edges) - 1 <= 128
    if dtype != np.float32:
        widths = np.diff(found.edges)
        assert np.all(found.edges % 1 == 0.5)
        assert np.all(widths == widths[0])
        assert widths[0] == int(widths[0])
        assert found.depth == 8 * np.dtype(dtype).itemsize
        assert 2**found.bits > every.max() >= 2 ** (found.bits - 1)


@pytest.mark.usefixtures("blank_charts")
def test_saturated_pixels_are_counted_at_the_limit_of_a_usual_bit_depth():
    image = np.zeros((10, 10, 1), np.uint16)
    image[:2] = 4095
    samples = Samples({"a": Sample(image, np.zeros((10, 10), np.uint8))})
    found = describe_intensities(tabulate(samples, ["train"]), samples)
    assert (found.saturated, found.bits, found.depth) == (0.2, 12, 16)
    page = report(samples, tabulate(samples, ["train"]))
    assert "12 of 16 bits are used" in page.texts["intensities"]
    assert "20.0 % of them are 4,095" in page.texts["intensities"]
    image[:2] = 4000
    assert describe_intensities(tabulate(samples, ["train"]), samples).saturated is None


@pytest.mark.usefixtures("blank_charts")
def test_hot_pixel_does_not_compress_the_histogram():
    image = np.random.default_rng(0).integers(100, 400, (200, 200, 1)).astype(np.uint16)
    image[5, 5] = 65535
    samples = Samples({"a": Sample(image, np.zeros((200, 200), np.uint8))})
    found = describe_intensities(tabulate(samples, ["train"]), samples)
    assert found.edges[-1] < 500
    assert found.beyond == 1 / 40000
    page = report(samples, tabulate(samples, ["train"]))
    assert "The brightest 0.0025 % of the pixels lie beyond" in page.texts["intensities"]


def test_fully_ignored_images_have_no_intensities():
    samples, table = some(3)
    samples.histogram = lambda name: intensity_histogram(np.empty((0, 0, 1), np.uint8))
    assert describe_intensities(table, samples) is None
    assert "All pixels are ignored" in report(samples, table).texts["intensities"]


def test_intensity_figure_has_a_line_for_each_channel_and_part():
    samples = Samples({n: square(channels=3, seed=n) for n in range(3)})
    found = describe_intensities(tabulate(samples, ["train", "train", "test"]), samples)
    axes = draw_intensities(found).axes[0]
    assert [patch.get_label() for patch in axes.patches] == [
        f"channel {n}, {part}" for part in ("training", "validation and test") for n in (1, 2, 3)
    ]
    values = np.nan_to_num(axes.patches[4].get_data().values)
    np.testing.assert_allclose(values, found.shares["validation and test"][1])
    assert axes.get_yscale() == "log"


def test_content_figure_counts_every_image_once():
    _, table = some(40)
    table = complete(table.assign(objects=range(40)), CLASSES)
    figure = draw_content(table)
    heights = [sum(bar.get_height() for bar in axes.patches) for axes in figure.axes]
    assert heights == [24, 24, 8, 8, 8, 8]
    first = figure.axes[1].patches[0]
    assert (first.get_x(), first.get_width(), first.get_height()) == (-0.5, 2, 2)


class TestObjects:
    def test_are_counted_by_split_with_those_that_touch(self):
        _, table = some(10)
        table = table.assign(objects=range(10), touching=[float(n // 2) for n in range(10)])
        rows = object_table(complete(table, CLASSES)).set_index("split")
        # Of the training images, 0, 1, 3, 5, 6 and 8 objects; 0, 0, 1, 2, 3 and 4 of them touch.
        columns = ["objects", "mean per image", "fewest", "most", "touch another"]
        assert rows.loc["training", columns].tolist() == [23, "3.8", 0, 8, "10 (43.5 %)"]

    def test_without_numbers_touch_nothing_known(self):
        _, table = some(10)
        bare = table.assign(has_instances=False, touching=np.nan)
        for part in (bare, table.drop(columns="touching")):
            assert "touch another" not in object_table(complete(part, CLASSES))

    def test_have_a_chart_of_their_areas_on_the_page(self):
        samples, table = some(10)
        areas = merge_areas(table, samples)
        assert areas.tolist() == [np.count_nonzero(s.label) for s in samples.values()]
        bars = draw_object_areas(areas).axes[0].patches
        assert sum(bar.get_height() for bar in bars) == 10
        page = report(samples, table)
        assert "They cover 4 to 64 pixels, half of them at least 16" in page.texts["objects"]
        assert "touch another" in page.html
        bare = report(samples, table.assign(has_instances=False))
        assert "Sizes of the objects" not in bare.texts["objects"]

    def test_of_one_size_have_a_chart_too(self):
        assert draw_object_areas(np.array([7, 7])).axes[0].patches[0].get_height() == 2


class TestWrongWayRound:
    def test_a_class_on_most_pixels_is_asked_about_in_words(self):
        samples, table = some(10)
        swapped = table.assign(fraction_background=0.07, fraction_nucleus=0.93)
        question = "'nucleus' covers 93.0 % of the pixels: is the mask the wrong way round?"
        assert ask_about_classes(swapped, CLASSES) == [question]
        page = report(samples, swapped)
        assert any(question in text for _, text, _ in read_findings(page.html))
        assert "'nucleus' covers 93.0 % of the pixels." in page.texts["classes"]

    def test_a_usual_class_is_only_described(self):
        samples, table = some(10)
        assert ask_about_classes(table, CLASSES) == []
        page = report(samples, table)
        assert "wrong way round" not in page.html
        assert "'nucleus' covers" in page.texts["classes"]


def test_many_sizes_are_drawn_instead_of_listed():
    samples = Samples({n: square(20 + n % 14) for n in range(15)})
    table = tabulate(samples, ["train"] * 13 + ["validation", "test"])
    dots = draw_sizes(complete(table, CLASSES)).axes[0].collections[0]
    assert sorted(map(tuple, dots.get_offsets().tolist())) == [(n, n) for n in range(20, 34)]
    assert sorted(dots.get_sizes())[-1] == pytest.approx(2**0.5 * dots.get_sizes().min())
    page = report(samples, table)
    assert "Images of each size in pixels" not in page.tables
    assert "Larger dots" in page.texts["sizes"]


def test_figures_are_svg_with_their_words_as_text():
    _, table = some(10)
    address = to_svg(draw_content(complete(table, CLASSES)))
    kind, _, data = address.partition(",")
    drawing = base64.b64decode(data).decode()
    assert kind == "data:image/svg+xml;base64"
    assert "<svg" in drawing
    assert ">foreground fraction of the image's pixels</text>" in drawing
    assert ">objects in the image</text>" in drawing


def test_each_pair_occurs_once_with_leaks_first():
    duplicates = pd.DataFrame(
        [("a", "b", "near", 4, 0.9), ("d", "c", "near", 2, 0.97)], columns=DUPLICATES
    )
    leaks = pd.DataFrame(
        [
            ("same group", "e", "f", "train", "test"),
            ("near", "c", "d", "train", "test"),
            ("same group", "d", "c", "test", "train"),
        ],
        columns=LEAKS,
    )
    names = ("first", "second", "kind", "leaks", "is_duplicate", "correlation")
    found = [tuple(map(pair.get, names)) for pair in suspect_pairs(leaks, duplicates)]
    assert found == [
        ("e", "f", "same group", True, False, None),
        ("c", "d", "near", True, True, 0.97),
        ("a", "b", "near", False, True, 0.9),
    ]


def problems(table, quarantine=0, duplicates=(), leaks=()):
    frames = (
        pd.DataFrame([("a", "b", "c")] * quarantine, columns=QUARANTINE),
        pd.DataFrame(duplicates, columns=DUPLICATES),
        pd.DataFrame(leaks, columns=LEAKS),
    )
    return read_findings(render("data_findings.html", count_problems(table, *frames, CLASSES)))


def test_sound_data_have_no_problems():
    assert problems(some(30)[1]) == [
        ("fine", "No file was left out.", False),
        ("fine", "No leak between the splits is known.", False),
    ]


@pytest.mark.parametrize(
    ("change", "level", "text"),
    [
        ({"split": "train"}, "wrong", "There is no image for validation and test."),
        ({"channels": range(30)}, "wrong", "30 different combinations of channels and bit depth"),
        ({"fraction_nucleus": 0.0}, "wrong", "training images contain no nucleus"),
        ({"fraction_nucleus": 0.0}, "doubtful", "test images contain no nucleus"),
        ({"fraction_nucleus": [0.0] + [0.1] * 29}, "doubtful", "1 image contains only background"),
        ({"ignored": [1.0, 1.0] + [0.1] * 28}, "doubtful", "In 2 images every pixel is ignored"),
        ({"overlap": [0] * 29 + [4]}, "doubtful", "In 1 image objects overlap"),
    ],
)
def test_each_problem_has_a_fix(change, level, text):
    found = problems(some(30)[1].assign(**change))
    assert [f for f in found if f[0] == level and text in f[1] and f[2]]
    levels = [f[0] for f in found]
    assert levels == sorted(levels, key=["wrong", "doubtful", "fine"].index)


def test_names_in_findings_are_escaped():
    evil = '</li><li class="fine"><script>`x`'
    table = some(30)[1].rename(columns={"fraction_nucleus": f"fraction_{evil}"})
    table[f"fraction_{evil}"] = 0.0
    frames = (pd.DataFrame(columns=names) for names in (QUARANTINE, DUPLICATES, LEAKS))
    html = render("data_findings.html", count_problems(table, *frames, ["background", evil]))
    assert "<script" not in html
    level, text, _ = read_findings(html)[0]
    assert (level, f"The training images contain no {evil}, which" in text) == ("wrong", True)


def test_ignored_image_is_not_reported_as_empty():
    spoilt = {"ignored": [1.0] + [0.0] * 29, "fraction_nucleus": [0.0] + [0.1] * 29}
    texts = [text for _, text, _ in problems(some(30)[1].assign(**spoilt))]
    assert any("In 1 image every pixel is ignored" in text for text in texts)
    assert not any("contains only" in text for text in texts)


@pytest.mark.parametrize(("left_out", "level"), [(3, "doubtful"), (4, "wrong")])
def test_many_files_left_out_are_worse_than_few(left_out, level):
    text = f"{left_out} files were left out. The list below gives the fix for each."
    assert (level, text, True) in problems(some(30)[1], left_out)


def test_few_images_leaks_and_duplicates_are_reported():
    levels = {
        text.partition(". ")[0]: level
        for level, text, _ in problems(
            some(19)[1],
            duplicates=[("s000", "s001", "near", 1, 0.9), ("s004", "s000", "near", 1, 0.9)],
            leaks=[("near", "s000", "s004", "train", "test")],
        )
    }
    assert levels["There are only 19 images, so that scores depend much on chance"] == "doubtful"
    assert levels["1 more pair of images seems to show the same"] == "doubtful"
    leak = "1 pair of images that seem to show the same lies in different splits"
    assert [level for text, level in levels.items() if text.startswith(leak)] == ["wrong"]


@pytest.mark.parametrize(("groups", "level"), [(2, "doubtful"), (3, "wrong")])
def test_a_divided_group_is_worse_where_it_could_be_avoided(groups, level):
    table = some(30)[1]
    table["group"] = [f"volume {n % groups}" for n in range(30)]
    found = problems(table, leaks=[("same group", "s000", "s004", "train", "test")])
    (finding,) = [f for f in found if "Images of one group lie in different splits" in f[1]]
    assert (finding[0], finding[2]) == (level, True)
    assert "Examples: 1 pair below." in finding[1]
    assert not any("No leak" in text for _, text, _ in found)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (1, "100.0 %"),
        (0.1234, "12.3 %"),
        (0.0099, "1.0 %"),
        (0.00234, "0.23 %"),
        (2.3e-5, "0.0023 %"),
        (1e-7, "under 0.001 %"),
    ],
)
def test_small_percentages_keep_two_digits(share, text):
    assert percent(share) == text


def test_format_of_numbers_and_names():
    assert [count_of(n, "image") for n in (0, 1, 1234)] == ["0 images", "1 image", "1,234 images"]
    assert count_of(2, "group has", "groups have") == "2 groups have"
    sizes = [data_size(n) for n in (999, 1500, 123_456, 2_500_000_000, 10**16)]
    assert sizes == ["999 bytes", "1.5 kB", "123 kB", "2.5 GB", "10,000 TB"]
    assert [listing(list(names), 3) for names in ("a", "ab", "abc", "abcde")] == [
        "a",
        "a and b",
        "a, b and c",
        "a, b, c and 2 more",
    ]
