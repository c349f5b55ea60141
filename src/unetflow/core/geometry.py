"""Input sizes, output size and receptive field of a U-Net."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Geometry:
    """The properties of a network that tiling depends on, in pixels.

    Attributes:
        stride: Windows start at multiples of this, the product of all pooling strides.
        remainder: An input edge fits if it leaves this remainder when divided by the stride.
        shrink: Pixels that valid convolutions remove at each side; 0 for same convolutions.
        margin: Width of the border of a window's output that depends on pixels beyond it: the
            receptive field's radius, rounded up to a multiple of the stride; 0 for valid ones.
    """

    stride: int
    remainder: int
    shrink: int
    margin: int

    def fit(self, edge: int) -> int:
        """Return the smallest input edge that fits the network and is at least `edge`."""
        return edge + (self.remainder - edge) % self.stride

    def fits(self, edge: int) -> bool:
        """Return whether an input of this edge fits the network."""
        return edge == self.fit(max(edge, 2 * self.shrink + 1))

    def nearest(self, edge: int) -> str:
        """Return the fitting input edges next to this one as text, for messages."""
        above = self.fit(max(edge, 2 * self.shrink + 1))
        below = above - self.stride
        return f"{below} and {above}" if below > 2 * self.shrink else str(above)


def unet_geometry(depth: int, padding: str) -> Geometry:
    """Return the geometry of a U-Net with `depth` poolings and "same" or "valid" padding.

    With same convolutions, the radius of the receptive field is 7 2^depth - 5: each of the two
    `conv_block`s of a level adds 2 pixels of that level, which are 2^level pixels of the image,
    and each pooling adds one pixel, so that 4 (2^depth - 1) + 2 2^depth + (2^depth - 1).

    With valid convolutions each `conv_block` removes 4 pixels of its level, so that an input edge
    fits if it is 4 (2^depth - 1) plus a multiple of 2^depth.

    `models.unet.build_unet` builds it. The geometry is exact for batch normalisation and for none;
    group and instance normalisation depend on the whole window.
    """
    stride = 2**depth
    if padding == "same":
        radius = 7 * stride - 5
        return Geometry(stride, remainder=0, shrink=0, margin=-(-radius // stride) * stride)
    return Geometry(stride, remainder=-4 % stride, shrink=lost_pixels(depth) // 2, margin=0)


def lost_pixels(depth: int) -> int:
    """Return by how much the input edge of a valid U-Net exceeds its output edge.

    A level removes 4 pixels before its pooling, twice what the levels below remove, and 4 after
    the up-convolution: lost(d) = 8 + 2 lost(d - 1) with lost(0) = 4.
    """
    lost: int = 12 * 2**depth - 8
    return lost
