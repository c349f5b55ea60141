"""The layers of a U-Net and their sizes, worked out without building it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """What the sizes of a U-Net's layers depend on; see `unet.build_unet`.

    Attributes:
        channels: Channels of the image.
        base_filters: Filters of the first level.
        depth: How often the size is halved.
        classes: Channels of the output.
        normalisation: "batch", "group", "instance" or "none".
        padding: "same" or "valid".
        deep_supervision: Number of further outputs while it is trained.
    """

    channels: int
    base_filters: int
    depth: int
    classes: int = 1
    normalisation: str = "batch"
    padding: str = "same"
    deep_supervision: int = 0


@dataclass(frozen=True)
class Convolution:
    """One convolution of a U-Net.

    Attributes:
        kind: "block" (3x3, followed by normalisation and ReLU), "up" (2x2, transposed, stride 2)
            or "head" (1x1).
        inputs: Channels of its input.
        outputs: Channels of its output.
        height: Of its output in pixels.
        width: Of its output in pixels.
    """

    kind: str
    inputs: int
    outputs: int
    height: int
    width: int

    @property
    def map_size(self) -> int:
        """Numbers in its output for one image."""
        return self.outputs * self.height * self.width

    @property
    def weights(self) -> int:
        """Numbers in its kernel and its bias."""
        return {"block": 9, "up": 4, "head": 1}[self.kind] * self.inputs * self.outputs + (
            self.outputs
        )

    @property
    def multiply_adds(self) -> int:
        """Multiplications of one image's pass; a transposed 2x2 kernel meets a pixel once."""
        return (9 if self.kind == "block" else 1) * self.inputs * self.map_size


def list_convolutions(architecture: Architecture, height: int, width: int) -> list[Convolution]:
    """List all convolutions in the order in which they are computed.

    Args:
        architecture: Of the U-Net.
        height: Of the input in pixels; it must fit the network.
        width: Likewise.

    Returns:
        Four convolutions for each level on the way down and up, one for each step up, two at the
        bottom and the head.
    """
    found: list[Convolution] = []
    lost = 2 if architecture.padding == "valid" else 0

    def convolve_twice(inputs: int, outputs: int) -> None:
        nonlocal height, width
        for channels in (inputs, outputs):
            height, width = height - lost, width - lost
            found.append(Convolution("block", channels, outputs, height, width))

    inputs = architecture.channels
    filters = [architecture.base_filters * 2**level for level in range(architecture.depth + 1)]
    for outputs in filters[:-1]:
        convolve_twice(inputs, outputs)
        height, width, inputs = height // 2, width // 2, outputs
    convolve_twice(inputs, filters[-1])
    for outputs in reversed(filters[:-1]):
        height, width = 2 * height, 2 * width
        found.append(Convolution("up", 2 * outputs, outputs, height, width))
        convolve_twice(2 * outputs, outputs)
    found.append(Convolution("head", filters[0], architecture.classes, height, width))
    return found


def count_parameters(architecture: Architecture) -> int:
    """Return the number of all parameters, those that are not trained included."""
    edge = 2 ** (architecture.depth + 5)  # any size will do
    convolutions = list_convolutions(architecture, edge, edge)
    # Gamma and beta, and for batch normalisation a moving mean and a moving variance.
    for_each_filter = {"none": 0, "batch": 4}.get(architecture.normalisation, 2)
    normalised = sum(c.outputs for c in convolutions if c.kind == "block")
    return sum(c.weights for c in convolutions) + for_each_filter * normalised
