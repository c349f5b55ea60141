import io

import pytest

from tests.support.networks import tiny_unet
from unetflow.models.diagram import draw_unet


def _texts(figure):
    return [text.get_text() for text in figure.axes[0].texts if text.get_text()]


def test_every_block_is_drawn_with_its_size_and_filters():
    figure = draw_unet(tiny_unet(input_shape=(None, None, 3), depth=2), edge=32)
    assert sorted(_texts(figure)) == [
        "bottleneck\n8 x 8\n8 filters",
        "decoder 1\n32 x 32\n2 filters",
        "decoder 2\n16 x 16\n4 filters",
        "encoder 1\n32 x 32\n2 filters",
        "encoder 2\n16 x 16\n4 filters",
    ]


def test_the_title_gives_the_parameters_and_the_sizes_of_input_and_output():
    unet = tiny_unet(input_shape=(None, None, 3), base_filters=4, depth=2, classes=2)
    assert unet.count_params() > 1000
    assert draw_unet(unet, edge=32).axes[0].get_title() == (
        f"U-Net: {unet.count_params():,} parameters, input 32 x 32 x 3, output 32 x 32 x 2"
    )


def test_a_valid_network_is_drawn_with_its_shrinking_sizes():
    figure = draw_unet(tiny_unet(depth=2, padding="valid"), edge=44)
    sizes = {text.split("\n")[0]: text.split("\n")[1] for text in _texts(figure)}
    assert sizes == {
        "encoder 1": "40 x 40",
        "encoder 2": "16 x 16",
        "bottleneck": "4 x 4",
        "decoder 2": "4 x 4",
        "decoder 1": "4 x 4",
    }
    assert figure.axes[0].get_title().endswith("output 4 x 4 x 1")


def test_a_network_of_one_fixed_size_can_be_drawn():
    figure = draw_unet(tiny_unet(input_shape=(16, 16, 1)), edge=16)
    assert "bottleneck\n8 x 8\n4 filters" in _texts(figure)


@pytest.mark.parametrize("depth", [1, 3])
def test_there_is_an_arrow_for_each_step_and_each_skip(depth):
    figure = draw_unet(tiny_unet(depth=depth), edge=16)
    arrows = [t.arrow_patch for t in figure.axes[0].texts if hasattr(t, "arrow_patch")]
    dashed = [arrow for arrow in arrows if arrow.get_linestyle() == "--"]
    assert len(dashed) == depth
    assert len(arrows) - len(dashed) == 2 * depth


def test_the_figure_can_be_written(tmp_path):
    draw_unet(tiny_unet(), edge=16).savefig(tmp_path / "unet.png")
    assert (tmp_path / "unet.png").stat().st_size > 1000


@pytest.mark.parametrize("size", [None, (9, 5)], ids=["own size", "smaller"])
def test_no_arrow_covers_a_box(size):
    figure = draw_unet(tiny_unet(depth=3), edge=16)
    if size:
        figure.set_size_inches(*size)
    figure.savefig(io.BytesIO())  # only drawing puts everything in its place
    texts = figure.axes[0].texts
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    arrows = [t.arrow_patch.get_window_extent() for t in texts if hasattr(t, "arrow_patch")]
    assert (len(boxes), len(arrows)) == (7, 9)
    assert not any(arrow.overlaps(box) for arrow in arrows for box in boxes)
