"""Sizes of a U-Net's layers, computed without Keras.

The planner compares many architectures, each of which would take Keras seconds to build. Tests hold
these numbers and those of `models.unet.build_unet` together.
"""

from dataclasses import dataclass

_KERNEL_AREA = {"block": 9, "up": 4, "head": 1}


@dataclass(frozen=True)
class Architecture:
    """The arguments of `models.unet.build_unet` that the sizes of its layers depend on.

    Attributes:
        channels: Channels of the image.
        base_filters: Filters of the first level.
        depth: Number of poolings.
        classes: Channels of the output.
        normalisation: "batch", "group", "instance" or "none".
        padding: "same" or "valid".
        deep_supervision: Number of further outputs in training.
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
        height: Height of its output in pixels.
        width: Width of its output in pixels.
    """

    kind: str
    inputs: int
    outputs: int
    height: int
    width: int

    @property
    def map_size(self) -> int:
        """Number of values in its output for one image."""
        return self.outputs * self.height * self.width

    @property
    def weights(self) -> int:
        """Number of values in its kernel and its bias."""
        return (_KERNEL_AREA[self.kind] * self.inputs + 1) * self.outputs

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one image; with stride 2 a pixel meets one of the 4 kernel values."""
        area = 1 if self.kind == "up" else _KERNEL_AREA[self.kind]
        return area * self.inputs * self.map_size


def list_convolutions(architecture: Architecture, height: int, width: int) -> list[Convolution]:
    """List all convolutions in the order of computation.

    Args:
        architecture: The U-Net, without its deep supervision.
        height: Height of the input in pixels; it must fit the network.
        width: Width of the input in pixels; it must fit the network.
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
    """Return the number of parameters, non-trainable ones included."""
    edge = 2 ** (architecture.depth + 5)  # any fitting size gives the same number
    convolutions = list_convolutions(architecture, edge, edge)
    # Gamma and beta; for batch normalisation also moving mean and variance.
    per_filter = {"none": 0, "batch": 4}.get(architecture.normalisation, 2)
    normalised = sum(c.outputs for c in convolutions if c.kind == "block")
    return sum(c.weights for c in convolutions) + per_filter * normalised
