"""The Lovász-softmax loss (Berman et al. 2018, arXiv 1705.08790)."""

from keras import ops

from unetflow.models.blocks import Tensor
from unetflow.models.losses.targets import TargetPair


def lovasz_softmax(pixels: TargetPair) -> Tensor:
    """Return the Lovász extension of the Jaccard loss of each image.

    A pixel's error in a class is |t - p|. With the errors in falling order, each is multiplied by
    what its pixel adds to the Jaccard loss when it is mistaken besides all before it (algorithm 1
    of the paper). For probabilities of 0 and 1 that is 1 - Jaccard.

    With several softmax channels it is the mean over the classes that an image's truth holds, as
    in the paper, the background among them: without it an image of nothing else would cost
    nothing, whatever is predicted. With one sigmoid channel it is that of the foreground, held or
    not; an image without any costs its largest error. Weights are left aside.

    Args:
        pixels: Truth and prediction.

    Returns:
        `(batch,)`; 0 for an image that is ignored as a whole.
    """
    # This form of |t - p| has its slope where the prediction is perfect, too.
    errors = _by_class(pixels.chance + pixels.truth - 2 * pixels.chance * pixels.truth)
    truth = _by_class(ops.cast(pixels.truth, "int32"))
    is_counted = _by_class(pixels.counted) > 0
    # Ignored pixels come last, where their error of 0 takes nothing from the others.
    order = ops.argsort(ops.where(is_counted, -errors, ops.ones_like(errors)), axis=-1)
    steps = _jaccard_steps(ops.take_along_axis(truth, order, axis=-1), errors.dtype)
    losses = ops.sum(ops.take_along_axis(errors, order, axis=-1) * steps, axis=-1)
    if pixels.is_sigmoid:
        return losses[:, 0]
    held = ops.cast(ops.max(truth, axis=-1), errors.dtype)
    return ops.sum(losses * held, axis=-1) / ops.maximum(ops.sum(held, axis=-1), 1)


def _by_class(values: Tensor) -> Tensor:
    """Turn `(batch, height, width, channels)` into `(batch, channels, pixels)`."""
    flat = ops.reshape(values, (ops.shape(values)[0], -1, values.shape[-1]))
    return ops.transpose(flat, (0, 2, 1))


def _jaccard_steps(truth: Tensor, dtype: str) -> Tensor:
    """Return what each pixel adds to the Jaccard loss of those before it.

    A true pixel that is mistaken makes the intersection of truth and prediction smaller by 1: it
    adds 1 / union. Any other makes their union greater by 1: it adds
    intersection / (union (union - 1)), or all of 1 where the union was empty. So the difference
    of two almost equal quotients is never formed.

    Args:
        truth: `(batch, channels, pixels)` int32, 0 or 1, in falling order of the errors. Whole
            numbers, since float32 cannot count the pixels of a large image.
        dtype: Of the result.

    Returns:
        The same shape.
    """
    total = ops.sum(truth, axis=-1, keepdims=True)
    intersection = ops.cast(total - ops.cumsum(truth, axis=-1), dtype)
    union = ops.cast(total + ops.cumsum(1 - truth, axis=-1), dtype)
    of_others = intersection / (union * ops.maximum(union - 1, 1))
    of_others = ops.where(union > 1, of_others, ops.ones_like(union))
    return ops.where(truth == 1, 1 / union, of_others)
