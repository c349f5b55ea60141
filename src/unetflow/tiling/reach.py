"""What a pixel of a feature map looks at in the image, carried from layer to layer."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from unetflow.core.errors import InputError

Places = NDArray[np.int64]


@dataclass(frozen=True)
class Line:
    """What one axis of a feature map has to do with the same axis of the input.

    Pixel i looks at the input's pixels from `low[i]` to `high[i]`. Both are known for one period;
    a period later they are larger by `stride`.

    Attributes:
        low: `(period,)`.
        high: `(period,)`.
        stride: Input pixels of a period.
        scale: The map's edge is `scale * n + offset` for an input edge of n.
        offset: See `scale`.
        demands: Pairs (scale, offset) and a divisor of the edge that they give.
    """

    low: Places
    high: Places
    stride: int
    scale: Fraction
    offset: Fraction
    demands: frozenset[tuple[Fraction, Fraction, int]] = frozenset()

    def look(self, ends: Places, places: Places) -> Places:
        """Return `low` or `high` of any pixels."""
        period = len(ends)
        return np.asarray(ends[places % period] + self.stride * (places // period))

    def lengthen(self, times: int) -> "Line":
        """Return the same with a period that is some times as long."""
        places = np.arange(len(self.low) * times)
        low, high = self.look(self.low, places), self.look(self.high, places)
        return replace(self, low=low, high=high, stride=self.stride * times)

    def follow(
        self, first: Callable[[Places], Places], last: Callable[[Places], Places], period: int
    ) -> "Line":
        """Return the line of a map whose pixels look at those from `first` to `last` of this."""
        places = np.arange(period)
        low, high = self.look(self.low, first(places)), self.look(self.high, last(places))
        return replace(self, low=low, high=high)

    def takes(self, edge: int) -> bool:
        """Tell whether an input of this edge leaves no rest at any layer."""
        values = ((scale * edge + offset, divisor) for scale, offset, divisor in self.demands)
        return all(value % divisor == 0 for value, divisor in values)

    def resize(self, scale: Fraction, offset: int) -> "Line":
        """Return the line of a map with `scale` times as many pixels and `offset` more."""
        return replace(self, scale=self.scale * scale, offset=self.offset * scale + offset)


def image_line() -> Line:
    """Return the line of the image itself, of which each pixel looks at itself."""
    return Line(np.zeros(1, np.int64), np.zeros(1, np.int64), 1, Fraction(1), Fraction(0))


def join(one: Line, other: Line) -> Line:
    """Join two maps of one size, pixel by pixel.

    Raises:
        InputError: They have different sizes.
    """
    if (one.scale, one.offset) != (other.scale, other.offset):
        raise InputError(
            "network",
            f"maps of {one.scale} n + {one.offset} and {other.scale} n + {other.offset} pixels are "
            "joined, for an input of n",
            "Crop or enlarge one of them",
        )
    stride = int(np.lcm(one.stride, other.stride))
    one, other = one.lengthen(stride // one.stride), other.lengthen(stride // other.stride)
    return replace(
        one,
        low=np.minimum(one.low, other.low),
        high=np.maximum(one.high, other.high),
        demands=one.demands | other.demands,
    )


def gather(line: Line, width: int, stride: int, padding: str) -> Line:
    """Pass a convolution or a pooling: pixel i looks at `width` pixels from `stride * i` on."""
    added = width - stride if padding == "same" else 0
    before = max(added, 0) // 2
    spare = added - (width - stride)
    if stride > 1:
        demand = (line.scale, line.offset + spare, stride)
        line = replace(line, demands=line.demands | {demand})
        line = line.lengthen(stride // int(np.gcd(len(line.low), stride)))
    followed = line.follow(
        lambda i: i * stride - before,
        lambda i: i * stride - before + width - 1,
        len(line.low) // stride,
    )
    # From an edge to (edge + added - width) / stride + 1, which divides where the demand is met
    return replace(followed, offset=followed.offset + spare).resize(Fraction(1, stride), 0)


def spread(line: Line, kernel: int, stride: int) -> Line:
    """Pass a transposed convolution, which writes `kernel` pixels from `stride * i` on."""
    followed = line.follow(
        lambda i: -((kernel - 1 - i) // stride),
        lambda i: i // stride,
        len(line.low) * stride,
    )
    return followed.resize(Fraction(stride), kernel - stride)


def enlarge(line: Line, times: int, *, bilinear: bool) -> Line:
    """Pass an enlargement; a bilinear one looks at the centres on both sides of its own."""
    # From the centre of pixel i to the centres before and after it, in halves of a small pixel

    def first(i: Places) -> Places:
        return (2 * i - (times - 1)) // (2 * times) if bilinear else i // times

    def last(i: Places) -> Places:
        return -((times - 1 - 2 * i) // (2 * times)) if bilinear else i // times

    followed = line.follow(first, last, len(line.low) * times)
    return followed.resize(Fraction(times), 0)


def shift(line: Line, before: int, after: int) -> Line:
    """Pass a cropping layer, or with negative numbers a padding one."""
    followed = line.follow(lambda i: i + before, lambda i: i + before, len(line.low))
    return followed.resize(Fraction(1), -before - after)
