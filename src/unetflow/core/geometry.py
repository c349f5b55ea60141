"""Which input sizes a U-Net takes, and how far it looks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Geometry:
    """What tiling must know of a network.

    Attributes:
        stride: Windows begin at multiples of this many pixels, as pooling demands.
        remainder: An input edge fits when it leaves this remainder divided by the stride.
        shrink: Pixels that valid convolutions cut off each side; 0 for same convolutions.
        margin: Pixels at an inner border of a window whose output the cut may have changed: the
            network's reach for same convolutions, 0 for valid ones. A multiple of the stride.
    """

    stride: int
    remainder: int
    shrink: int
    margin: int

    def fit(self, edge: int) -> int:
        """Return the smallest input edge that the network takes and that is at least `edge`."""
        return edge + (self.remainder - edge) % self.stride

    def fits(self, edge: int) -> bool:
        """Tell whether the network takes an input of this edge."""
        return edge == self.fit(max(edge, 2 * self.shrink + 1))

    def nearest(self, edge: int) -> str:
        """Name the input edges around this one that the network takes, for a message."""
        above = self.fit(max(edge, 2 * self.shrink + 1))
        below = above - self.stride
        return f"{below} and {above}" if below > 2 * self.shrink else str(above)


def unet_geometry(depth: int, padding: str) -> Geometry:
    """Return what tiling must know of a U-Net.

    With same convolutions, an output pixel looks at 2 pixels to each side for each of the two
    `conv_block`s of a level, counted in that level's pixels of 2^level, and at 1 more for its
    pooling: 4 (2^depth - 1) + 2 2^depth + (2^depth - 1) = 7 2^depth - 5 in all.

    With valid convolutions each `conv_block` cuts off 4 pixels of its level, so that an input
    edge fits when it is 4 (2^depth - 1) more than a multiple of 2^depth.

    Args:
        depth: How often the size is halved.
        padding: "same" or "valid".

    Returns:
        The geometry. It holds for batch normalisation and none; group and instance normalisation
        look at the whole window.
    """
    stride = 2**depth
    if padding == "same":
        reach = 7 * stride - 5
        return Geometry(stride, remainder=0, shrink=0, margin=-(-reach // stride) * stride)
    return Geometry(stride, remainder=-4 % stride, shrink=lost_pixels(depth) // 2, margin=0)


def lost_pixels(depth: int) -> int:
    """Return by how much the output of a valid U-Net of this depth is smaller than its input.

    A level loses 4 pixels before its pooling, twice what is lost below, and 4 after it.
    """
    lost = 4
    for _ in range(depth):
        lost = 4 + 2 * lost + 4
    return lost
