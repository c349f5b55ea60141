import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from tests.support.images import random_pixels
from unetflow.augmentation.policy import Augmenter
from unetflow.data.intensity import IntensityRange
from unetflow.data.samples import Sample
from unetflow.instances.objects import find_objects
from unetflow.visualization.figures import (
    Specimen,
    draw_augmentation_preview,
    draw_gallery,
    draw_learning_curve,
)
from unetflow.visualization.overlays import (
    CLASS_COLOURS,
    PREDICTION_COLOUR,
    TRUTH_COLOUR,
    draw_label,
    draw_objects,
    draw_outline,
    paint_classes,
    tint_classes,
    to_picture,
)

COLOUR = (1, 2, 3)
LABELS = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9),
    elements=st.sampled_from([0, 1, 2, 255]),
)


def outline_by_definition(label):
    """Mark foreground pixels with a neighbour of another class at one of their four sides."""
    visible = np.where(label == 255, 0, label)
    marked = np.zeros(label.shape, bool)
    for row, column in np.argwhere(visible > 0):
        for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            place = row + down, column + right
            if all(0 <= p < n for p, n in zip(place, label.shape, strict=True)):
                marked[row, column] |= visible[place] != visible[row, column]
    return marked


@given(LABELS)
def test_outline_lies_inside_the_foreground_and_nothing_else_changes(label):
    picture = np.full((*label.shape, 3), 77, np.uint8)
    drawn = draw_outline(picture, label, COLOUR)
    changed = np.any(drawn != 77, axis=2)
    np.testing.assert_array_equal(changed, outline_by_definition(label))
    assert not np.any(changed & np.isin(label, (0, 255)))
    assert np.all(drawn[changed] == COLOUR)
    assert np.all(picture == 77)


def test_outline_of_a_square():
    label = np.zeros((7, 7), np.uint8)
    label[1:6, 1:6] = 1
    drawn = draw_outline(np.zeros((7, 7, 3), np.uint8), label, TRUTH_COLOUR)
    expected = label.astype(bool)
    expected[2:5, 2:5] = False
    np.testing.assert_array_equal(np.all(drawn == TRUTH_COLOUR, axis=2), expected)


def test_classes_have_different_colours():
    painted = paint_classes(np.arange(256, dtype=np.uint8)[np.newaxis])[0]
    assert len(np.unique(painted, axis=0)) == 256
    assert painted[0].tolist() == [0, 0, 0]
    assert painted[255].tolist() == [255, 255, 255]


def test_a_tint_leaves_the_background_alone():
    label = np.array([[0, 1, 2, 255]], np.uint8)
    picture = np.full((1, 4, 3), 100, np.uint8)
    tinted = tint_classes(picture, label)
    np.testing.assert_array_equal(tinted[:, 0], picture[:, 0])
    expected = (100 + paint_classes(label)[:, 1:].astype(int)) // 2
    np.testing.assert_array_equal(tinted[:, 1:], expected)


def test_two_classes_are_outlined_and_more_are_tinted():
    label = np.zeros((7, 7), np.uint8)
    label[1:6, 1:6] = 1
    picture = np.full((7, 7, 3), 100, np.uint8)
    outlined = draw_label(picture, label, 2, COLOUR)
    np.testing.assert_array_equal(outlined, draw_outline(picture, label, COLOUR))
    np.testing.assert_array_equal(
        draw_label(picture, label, 3, COLOUR), tint_classes(picture, label)
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [1, 1 / 65535])
def test_picture_spans_black_to_white_whatever_the_bit_depth(channels, scale):
    image = random_pixels((60, 50, channels), np.uint16) * scale / 20 + 3 * scale
    picture = to_picture(image)
    assert (picture.shape, picture.dtype) == ((60, 50, 3), np.uint8)
    assert (picture.min(), picture.max()) == (0, 255)
    low, high = np.percentile(image, [0.5, 99.5])
    expected = np.clip((image - low) / (high - low), 0, 1) * 255
    assert np.abs(picture - expected).max() <= 0.51


def test_grey_image_gives_a_grey_picture():
    picture = to_picture(random_pixels((9, 9, 1)))
    assert np.all(picture == picture[:, :, :1])


def test_two_channels_are_magenta_and_green_scaled_separately():
    image = np.zeros((20, 20, 2), np.uint16)
    image[:10, :, 0] = 60000
    image[:, :10, 1] = 30
    picture = to_picture(image)
    both, first, second, none = picture[0, 0], picture[0, 19], picture[19, 0], picture[19, 19]
    assert both.tolist() == [255, 255, 255]
    assert first.tolist() == [255, 0, 255]
    assert second.tolist() == [0, 255, 0]
    assert none.tolist() == [0, 0, 0]


@pytest.mark.parametrize("channels", [4, 7])
def test_first_three_of_many_channels_are_scaled_separately(channels):
    image = random_pixels((40, 30, channels), np.uint16) // np.uint16(
        [1, 50, 2000] + [1] * (channels - 3)
    )
    picture = to_picture(image)
    for channel in range(3):
        alone = to_picture(image[:, :, channel : channel + 1])
        np.testing.assert_array_equal(picture[:, :, channel], alone[:, :, 0])


def test_constant_image_is_black_without_a_division_by_zero():
    assert not to_picture(np.full((5, 5, 1), 900, np.uint16)).any()


def saved_size(figure, path):
    figure.savefig(path, dpi=40)
    with Image.open(path) as image:
        assert image.convert("L").getextrema()[0] < 128
        return image.size


def test_learning_curve_shows_all_four_series_and_names_the_best_epoch(tmp_path):
    history = pd.DataFrame(
        {
            "epoch": [1, 2, 3],
            "loss": [0.9, 0.5, 0.4],
            "dice": [0.1, 0.6, 0.7],
            "val_loss": [0.8, 0.6, 0.7],
            "val_dice": [0.2, 0.655, 0.6],
        }
    )
    figure = draw_learning_curve(history)
    drawn = {
        (axes.get_ylabel(), line.get_label()): line.get_ydata().tolist()
        for axes in figure.axes
        for line in axes.lines
    }
    assert drawn == {
        ("loss", "training crops"): [0.9, 0.5, 0.4],
        ("loss", "validation"): [0.8, 0.6, 0.7],
        ("Dice", "training crops"): [0.1, 0.6, 0.7],
        ("Dice", "validation"): [0.2, 0.655, 0.6],
    }
    assert "Dice 0.655 in epoch 2:" in figure.get_suptitle()
    assert saved_size(figure, tmp_path / "a.png") == (360, 144)


@pytest.mark.parametrize("count", [1, 3])
def test_augmentation_preview_has_the_plain_crop_first_in_each_row(tmp_path, count):
    label = np.ones((20, 20), np.uint8)
    label[:, :10] = 0
    samples = {f"s{n}": Sample(random_pixels((20, 20, 1), seed=n), label) for n in range(count)}
    augmenter = Augmenter([{"transform": "HorizontalFlip", "p": 1.0}])
    intensity = IntensityRange([0.0], [255.0])
    figure = draw_augmentation_preview(samples, augmenter, intensity, 20, seed=0)
    assert len(figure.axes) == 6 * count
    for number, sample in enumerate(samples.values()):
        first, *others = (a.images[0].get_array() for a in figure.axes[6 * number : 6 * number + 6])
        grey = np.repeat(sample.image, 3, axis=2)
        plain = draw_outline(grey, label, TRUTH_COLOUR)
        assert np.abs(first.astype(int) - plain).max() <= 1
        turned = draw_outline(grey[:, ::-1], label[:, ::-1], TRUTH_COLOUR)
        for other in others:
            assert np.abs(other.astype(int) - turned).max() <= 1
    assert figure.axes[0].get_title() == "s0"
    assert saved_size(figure, tmp_path / "a.png")[0] == 480


@pytest.mark.parametrize("channels", [1, 3])
def test_gallery_shows_image_truth_and_prediction_of_each_specimen(tmp_path, channels):
    image = random_pixels((30, 20, channels))
    truth, prediction = np.zeros((2, 30, 20), np.uint8)
    truth[3:9, 3:9] = 1
    prediction[5:12, 5:12] = 1
    specimens = [Specimen(f"best {n}", image, truth, prediction) for n in range(2)]
    figure = draw_gallery(specimens, ["background", "cell"])
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["best 0", "truth", "prediction", "best 1", "truth", "prediction"]
    plain, true, predicted = (axes.images[0].get_array() for axes in figure.axes[:3])
    np.testing.assert_array_equal(plain, to_picture(image))
    for shown, mask in ((true, truth), (predicted, prediction)):
        assert np.all(mask[np.any(shown != plain, axis=2)] == 1)
        assert np.any(shown != plain)
    assert saved_size(figure, tmp_path / "a.png")[0] == 380


def test_gallery_of_many_classes_has_a_legend(tmp_path):
    truth = np.arange(12, dtype=np.uint8).reshape(3, 4) % 4
    specimens = [Specimen("a", random_pixels((3, 4, 1)), truth, truth)]
    figure = draw_gallery(specimens, ["sky", "car", "tree", "bus"])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["car", "tree", "bus"]
    colours = [patch.get_facecolor()[:3] for patch in legend.get_patches()]
    expected = paint_classes(np.array([[1, 2, 3]], np.uint8))[0] / 255
    np.testing.assert_allclose(colours, expected)
    assert saved_size(figure, tmp_path / "a.png")[0] == 380


@pytest.mark.parametrize("classes", [2, 3])
def test_gallery_hides_predictions_on_ignored_pixels(classes):
    image = np.full((16, 16, 1), 100, np.uint8)
    truth = np.zeros((16, 16), np.uint8)
    truth[:, 8:] = 255
    found = np.zeros((16, 16), np.uint8)
    found[2:6, 10:14] = 1
    names = ["background", "cell", "edge"][:classes]
    figure = draw_gallery([Specimen("a", image, truth, found, found)], names)
    _, expected, champion, prediction = (axes.images[0].get_array() for axes in figure.axes)
    np.testing.assert_array_equal(prediction, expected)
    np.testing.assert_array_equal(champion, expected)
    assert found.max() == 1


def test_each_object_has_its_own_outline_also_the_one_with_the_number_255():
    numbers = np.zeros((6, 8), np.uint32)
    numbers[1:5, 1:4], numbers[1:5, 4:8] = 255, 300
    drawn = draw_objects(np.zeros((6, 8, 3), np.uint8), numbers, COLOUR)
    marked = (drawn == COLOUR).all(axis=2)
    expected = numbers > 0
    expected[2:4, 2] = expected[2:4, 5:8] = False
    np.testing.assert_array_equal(marked, expected)


@given(LABELS)
def test_outlines_of_objects_that_do_not_touch_are_those_of_the_mask(label):
    mask = (label == 1).astype(np.uint8)
    numbers = find_objects(mask).numbers
    picture = np.zeros((*mask.shape, 3), np.uint8)
    np.testing.assert_array_equal(
        draw_objects(picture, numbers, COLOUR), draw_outline(picture, mask, COLOUR)
    )


def test_objects_of_several_classes_are_outlined_in_the_colours_of_their_classes():
    """Two objects of one class touch each other, and one of another class."""
    numbers = np.zeros((6, 12), np.uint32)
    numbers[1:5, 0:4], numbers[1:5, 4:8], numbers[1:5, 8:12] = 1, 2, 3
    colours = paint_classes(np.array([1, 1, 2], np.uint8))
    picture = np.full((6, 12, 3), 50, np.uint8)
    drawn = draw_objects(picture, numbers, colours)
    inside = np.zeros(numbers.shape, bool)
    inside[2:4, 0:3] = inside[2:4, 5:7] = inside[2:4, 9:12] = True
    np.testing.assert_array_equal(drawn[(numbers == 0) | inside], 50)
    for number, colour in enumerate(colours, start=1):
        outline = (numbers == number) & ~inside
        np.testing.assert_array_equal(drawn[outline], np.tile(colour, (outline.sum(), 1)))


@pytest.mark.parametrize("classes", [2, 3])
def test_gallery_outlines_each_object_whose_number_is_known(classes):
    """Two objects touch each other in truth and prediction, and an ignored part of the image."""
    image = np.full((9, 12, 1), 100, np.uint8)
    image[0, 0] = 0
    truth = np.zeros((9, 12), np.uint8)
    truth[2:7, 2:10] = 1
    truth[:, 10:] = 255
    found = np.where(truth == 255, 1, truth).astype(np.uint8)
    numbers = np.zeros(truth.shape, np.uint16)
    numbers[2:7, 2:6], numbers[2:7, 6:10] = 300, 7
    own = np.where(truth == 255, 2, np.where(numbers == 300, 1, numbers == 7)).astype(np.uint32)
    own[2:7, 6:10] = 2
    specimen = Specimen("a", image, truth, found, found, true_objects=numbers, found_objects=own)
    names = ["background", "cell", "edge"][:classes]
    figure = draw_gallery([specimen], names)
    plain, true, champion, prediction = (axes.images[0].get_array() for axes in figure.axes)
    inside = np.zeros(truth.shape, bool)
    inside[3:6, 3:5] = inside[3:6, 7:9] = True
    outline = (truth == 1) & ~inside
    colours = {2: (TRUTH_COLOUR, PREDICTION_COLOUR), 3: (CLASS_COLOURS[0],) * 2}[classes]
    for shown, colour in zip((true, prediction), colours, strict=True):
        marked = (shown == colour).all(axis=2)
        np.testing.assert_array_equal(marked, outline)
        np.testing.assert_array_equal(shown[truth == 0], plain[truth == 0])
    assert (champion[3:6, 5:7] == champion[3, 3]).all()  # its mask is one piece
