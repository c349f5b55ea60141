"""The Lovász-softmax loss (Berman et al. 2018, arXiv 1705.08790)."""

from keras import ops

from unetflow.models.blocks import Tensor
from unetflow.models.losses.targets import TargetPair


def lovasz_softmax(pair: TargetPair) -> Tensor:
    """Return the Lovász extension of the Jaccard loss.

    A pixel's error in a class is |t - p|. The errors are sorted in descending order, and each is
    multiplied by the increase of the Jaccard loss when its pixel is added to the misclassified
    ones before it (algorithm 1 of the paper). For probabilities of 0 and 1 this is 1 - Jaccard.

    With several softmax channels it is the mean over the classes present in an image's truth, as
    in the paper. The background is one of them: without it, an image that holds nothing else would
    have no loss. With one sigmoid channel it is the foreground's, present or not; an image without
    foreground has its largest error as the loss. Weights are not used.

    Args:
        pair: Truth and prediction.

    Returns:
        `(batch,)`; 0 for an image whose pixels are all ignored.
    """
    # Unlike |t - p|, this form has a gradient at a perfect prediction.
    errors = _by_class(pair.prediction + pair.truth - 2 * pair.prediction * pair.truth)
    truth = _by_class(ops.cast(pair.truth, "int32"))
    is_counted = _by_class(pair.counted) > 0
    # Ignored pixels are sorted last, where their error of 0 does not change the others' parts.
    order = ops.argsort(ops.where(is_counted, -errors, ops.ones_like(errors)), axis=-1)
    steps = _jaccard_steps(ops.take_along_axis(truth, order, axis=-1), errors.dtype)
    losses = ops.sum(ops.take_along_axis(errors, order, axis=-1) * steps, axis=-1)
    if pair.is_sigmoid:
        return losses[:, 0]
    present = ops.cast(ops.max(truth, axis=-1), errors.dtype)
    return ops.sum(losses * present, axis=-1) / ops.maximum(ops.sum(present, axis=-1), 1)


def _by_class(values: Tensor) -> Tensor:
    """Reshape `(batch, height, width, channels)` to `(batch, channels, pixels)`."""
    flat = ops.reshape(values, (ops.shape(values)[0], -1, values.shape[-1]))
    return ops.transpose(flat, (0, 2, 1))


def _jaccard_steps(truth: Tensor, dtype: str) -> Tensor:
    """Return the increase of the Jaccard loss with each misclassified pixel.

    A missed pixel makes the intersection smaller by 1, which adds 1 / union. A false pixel makes
    the union greater by 1, which adds intersection / (union (union - 1)), or 1 if the union was
    empty. These forms avoid the difference of two almost equal quotients.

    Args:
        truth: `(batch, channels, pixels)` int32, 0 or 1, sorted by descending error. Integers,
            since float32 cannot count the pixels of a large image.
        dtype: Dtype of the result.

    Returns:
        The same shape.
    """
    total = ops.sum(truth, axis=-1, keepdims=True)
    intersection = ops.cast(total - ops.cumsum(truth, axis=-1), dtype)
    union = ops.cast(total + ops.cumsum(1 - truth, axis=-1), dtype)
    of_false = intersection / (union * ops.maximum(union - 1, 1))
    of_false = ops.where(union > 1, of_false, ops.ones_like(union))
    return ops.where(truth == 1, 1 / union, of_false)
