import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import binary_erosion

from tests.support.report_page import CLASSES, Samples, decode, report, tabulate
from unetflow.data.samples import Sample
from unetflow.data.synthetic import draw_nuclei
from unetflow.reporting.data_album import (
    choose_images,
    class_marks,
    draw_thumbnail,
    outline_classes,
)
from unetflow.reporting.html_page import SPLIT_NAMES
from unetflow.visualization.overlays import shrink_image, shrink_label, to_picture


@given(
    st.lists(st.tuples(st.sampled_from(["train", "validation", "test"]), st.floats(0, 1))),
    st.integers(3, 20),
    st.randoms(use_true_random=False),
)
def test_chosen_images_span_splits_and_foreground(rows, most, random):
    table = pd.DataFrame(rows, columns=["split", "foreground"])
    table["id"] = [f"s{n}" for n in range(len(table))]
    chosen = choose_images(table, most)
    order = random.sample(range(len(table)), len(table))
    assert choose_images(table.iloc[order], most) == chosen
    assert sum(map(len, chosen.values())) == min(most, len(table))
    known = table.set_index("id").replace({"split": SPLIT_NAMES})
    numbers = {}
    for split, ids in chosen.items():
        members = known[known["split"] == split].sort_values("foreground")["foreground"]
        shown = known.loc[ids, "foreground"].tolist()
        assert set(known.loc[ids, "split"]) == {split}
        assert len(set(ids)) == len(ids)
        assert shown == sorted(shown)
        if len(ids) > 1:
            assert (shown[0], shown[-1]) == (members.min(), members.max())
        if len(ids) < len(members):
            numbers[split] = len(ids)
    assert not numbers or max(map(len, chosen.values())) <= min(numbers.values()) + 1


@pytest.mark.usefixtures("blank_charts")
def test_thumbnail_on_the_page_shows_the_outline_at_the_edge_of_the_label():
    demo = draw_nuclei(320, np.random.default_rng(5))
    label = (demo.instances > 0).astype(np.uint8)
    samples = Samples({"demo": Sample(demo.image[:, :, np.newaxis], label)})
    picture = decode(report(samples, tabulate(samples, ["train"])).figures[0]["src"])
    small = label[1::2, 1::2]
    outline = small.astype(bool) & ~binary_erosion(small, border_value=1)
    colour = np.array(class_marks(CLASSES)[1].colour)
    distance = np.abs(picture - colour).max(axis=2)
    assert picture.shape == (160, 160, 3)
    assert np.mean(distance[outline] < 60) > 0.97
    assert np.mean(distance[~outline] < 60) < 0.01


LABELS = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=12),
    elements=st.sampled_from([0, 1, 2, 7, 8, 15, 22, 255]),
)


@given(LABELS)
def test_each_class_is_tinted_and_outlined_in_its_own_way_and_what_is_ignored_is_hatched(label):
    drawn = outline_classes(np.full((*label.shape, 3), 77, np.uint8), label)
    marks = class_marks([f"class {n}" for n in range(23)])
    visible = np.where(label == 255, 0, label)
    around = np.pad(visible, 1, mode="edge")
    for row, column in np.ndindex(label.shape):
        value, colour = visible[row, column], tuple(drawn[row, column].tolist())
        neighbours = [
            around[row + 1 + y, column + 1 + x] for y, x in ((0, 1), (1, 0), (0, -1), (-1, 0))
        ]
        if label[row, column] == 255:
            assert colour == ((200,) * 3 if (row + column) % 6 < 2 else (38,) * 3)
        elif value == 0:
            assert colour == (77, 77, 77)
        elif all(other == value for other in neighbours):
            assert colour == tuple(int(0.75 * 77 + 0.25 * c) for c in marks[value].colour)
        else:
            assert colour in (marks[value].colour, marks[value].gap)


def test_no_two_outlines_are_the_same_up_to_21_classes():
    marks = class_marks([f"class {n}" for n in range(23)])
    assert (marks[0].colour, marks[0].gap) == (None, None)
    assert len({(mark.colour, mark.gap) for mark in marks[1:22]}) == 21
    assert [mark.seen_before for mark in marks] == [False] * 22 + [True]
    assert marks[22].colour == marks[1].colour


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_image_is_shrunk_to_the_means_of_its_areas(dtype, channels):
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    image = (np.random.default_rng(1).random((60, 90, channels)) * top).astype(dtype)
    kept = image[:, :, :4].astype(np.float64)
    means = kept.reshape(20, 3, 30, 3, -1).mean(axis=(1, 3))
    np.testing.assert_allclose(shrink_image(image, (20, 30)), means, rtol=1e-5)
    thumbnail = draw_thumbnail(Sample(image, np.zeros((60, 90), np.uint8)))
    np.testing.assert_array_equal(thumbnail, to_picture(image))


def test_large_image_is_shrunk_without_reading_all_of_it():
    image = np.linspace(0, 1, 4000, dtype=np.float32)[:, None, None] * np.ones((1, 3000, 1))
    thumbnail = draw_thumbnail(Sample(image, np.zeros((4000, 3000), np.uint8)))
    assert thumbnail.shape == (160, 120, 3)
    assert np.all(np.diff(thumbnail[:, 60, 0].astype(int)) >= 0)


@given(
    hnp.arrays(
        np.uint8,
        st.tuples(st.integers(1, 50), st.integers(1, 50)),
        elements=st.sampled_from([0, 1, 5, 255]),
    ),
    st.data(),
)
def test_label_is_shrunk_to_the_classes_at_the_centres(label, data):
    shape = tuple(data.draw(st.integers(1, size)) for size in label.shape)
    shrunk = shrink_label(label, shape)
    assert shrunk.shape == shape
    for place in np.ndindex(shape):
        source = tuple(
            (2 * p + 1) * o // (2 * n) for p, o, n in zip(place, label.shape, shape, strict=True)
        )
        assert shrunk[place] == label[source]


@pytest.mark.parametrize("size", [(1, 900), (900, 1), (1, 1), (5, 300)])
def test_odd_shapes_have_a_thumbnail(size):
    sample = Sample(np.ones((*size, 1), np.uint8), np.ones(size, np.uint8))
    shape = draw_thumbnail(sample).shape
    assert max(shape[:2]) == min(160, max(size))
    assert min(shape[:2]) >= 1


def test_page_of_noise_stays_below_three_megabytes():
    random = np.random.default_rng(0)
    label = random.integers(0, 2, (160, 160)).astype(np.uint8)
    noise = Sample(random.integers(0, 256, (160, 160, 3)).astype(np.uint8), label)
    samples = Samples(dict.fromkeys((f"s{n}" for n in range(60)), noise))
    table = tabulate(samples, ["train"] * 40 + ["validation"] * 10 + ["test"] * 10)
    duplicates = [(f"s{n}", f"s{n + 30}", "near", 1, 0.9) for n in range(24)]
    assert len(report(samples, table, duplicates=duplicates).html) < 3e6
