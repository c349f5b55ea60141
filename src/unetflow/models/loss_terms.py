"""The losses that a training loss is made of.

Each takes the pair of truth and prediction, and returns the loss of each image, `(batch,)`. The
cross-entropies (`bce`, `cce`, `focal`) are weighted sums over an image's pixels (arXiv 1505.04597,
equation 1), divided by the number of counted pixels, not by the sum of weights: a pixel's part in
the loss depends on its own weight alone. The others compare areas and use no weights. An image
whose pixels are all ignored has a loss of 0.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from keras import ops

from unetflow.core.errors import InputError
from unetflow.core.types import IGNORE
from unetflow.models.blocks import Tensor

_EPSILON = 1e-7
"""Smallest probability inside a logarithm, which limits a pixel's loss to 16.1."""

_GAMMA = 2.0
"""Exponent of the focal loss, the best one in its paper."""

_ALPHA, _BETA = 0.3, 0.7
"""Weights of false positives and false negatives, the best ones in the paper of the loss."""

_ITERATIONS = 10
"""Half the width in pixels of the thickest line that has a skeleton: the paper's k."""


@dataclass(frozen=True)
class TargetPair:
    """Truth and prediction of a batch. All four tensors are 0 at ignored pixels.

    Attributes:
        prediction: `(batch, height, width, channels)` probabilities: of class 1 for one channel,
            of all classes for several.
        truth: Same shape and dtype: 1 where the pixel belongs to the channel's class, else 0.
        counted: `(batch, height, width, 1)`: 0 at ignored pixels, else 1.
        weight: `(batch, height, width, 1)`: the pixels' weights in the cross-entropies.
    """

    prediction: Tensor
    truth: Tensor
    counted: Tensor
    weight: Tensor

    @property
    def is_sigmoid(self) -> bool:
        """Whether there is a single channel, that of class 1."""
        return bool(self.prediction.shape[-1] == 1)

    @property
    def foreground(self) -> tuple[Tensor, Tensor]:
        """Prediction and truth without the background's channel."""
        first = 0 if self.is_sigmoid else 1
        return self.prediction[..., first:], self.truth[..., first:]


def pair_targets(
    y_true: Tensor, y_pred: Tensor, class_weights: Sequence[float] | None = None
) -> TargetPair:
    """Encode the truth like the prediction and mask ignored pixels in both.

    Args:
        y_true: `(batch, height, width, 1)` labels from 0, with 255 for ignored pixels; or
            `(batch, height, width, 2)` float32 with pixel weights as the second channel (the
            weight map of arXiv 1505.04597, equation 2).
        y_pred: `(batch, height, width, 1)` probabilities of class 1, or
            `(batch, height, width, classes)` of all classes. The pair has its dtype.
        class_weights: A factor for the weights of each class's pixels.

    Raises:
        InputError: The number of class weights is not the number of classes.
    """
    dtype, channels = y_pred.dtype, y_pred.shape[-1]
    label = ops.cast(y_true[..., :1], "int32")
    is_counted = ops.not_equal(label, IGNORE)
    # `where` also masks a prediction that is not a number; a product with 0 would keep it.
    prediction = ops.where(is_counted, y_pred, ops.zeros_like(y_pred))
    # No channel has the number 255, so ignored pixels belong to no class.
    numbers = [1] if channels == 1 else range(channels)
    truth = ops.cast(ops.equal(label, ops.array(list(numbers), "int32")), dtype)
    weight = counted = ops.cast(is_counted, dtype)
    if y_true.shape[-1] == 2:
        given = ops.cast(y_true[..., 1:], dtype)
        weight = ops.where(is_counted, given, ops.zeros_like(given))
    if class_weights is not None:
        weight = weight * _weight_by_class(label, class_weights, max(channels, 2), dtype)
    return TargetPair(prediction, truth, counted, weight)


def _weight_by_class(
    label: Tensor, class_weights: Sequence[float], classes: int, dtype: str
) -> Tensor:
    if len(class_weights) != classes:
        raise InputError(
            "training.class_weights",
            f"it lists {len(class_weights)} weights for {classes} classes",
            "Give one weight per class, the background first",
        )
    is_class = ops.cast(ops.equal(label, ops.arange(classes, dtype="int32")), dtype)
    return ops.sum(is_class * ops.array(list(class_weights), dtype), axis=-1, keepdims=True)


def sum_pixels(values: Tensor) -> Tensor:
    """Sum over height and width: `(batch, height, width, channels)` to `(batch, channels)`."""
    return ops.sum(values, axis=(1, 2))


def _binary_cross_entropy(pair: TargetPair) -> Tensor:
    """Return the mean binary cross-entropy over pixels and channels.

    With several softmax channels, each class is compared with all others.
    """
    p, t = ops.clip(pair.prediction, _EPSILON, 1 - _EPSILON), pair.truth
    entropy = -(t * ops.log(p) + (1 - t) * ops.log(1 - p))
    return mean_over_counted(ops.mean(entropy, axis=-1, keepdims=True), pair)


def _categorical_cross_entropy(pair: TargetPair) -> Tensor:
    """Return the mean of -ln(p), p the predicted probability of the true class."""
    return mean_over_counted(-ops.log(_probability_of_truth(pair)), pair)


def _focal(pair: TargetPair) -> Tensor:
    """Return the mean of -(1 - p)^2 ln(p), p the predicted probability of the true class.

    This is the focal loss (Lin et al. 2017, arXiv 1708.02002, equation 4) with gamma = 2. Class
    weights take the part of alpha in the paper's equation 5.
    """
    p = _probability_of_truth(pair)
    return mean_over_counted(-((1 - p) ** _GAMMA) * ops.log(p), pair)


def _probability_of_truth(pair: TargetPair) -> Tensor:
    """Return `(batch, height, width, 1)`, within (0, 1) at ignored pixels too."""
    agreeing = pair.truth * pair.prediction
    if pair.is_sigmoid:
        p = agreeing + (1 - pair.truth) * (1 - pair.prediction)
    else:
        p = ops.sum(agreeing, axis=-1, keepdims=True)
    return ops.clip(p, _EPSILON, 1 - _EPSILON)


def mean_over_counted(values: Tensor, pair: TargetPair) -> Tensor:
    """Reduce `(batch, height, width, 1)` to `(batch,)`; the weight of ignored pixels is 0."""
    total, number = sum_pixels(values * pair.weight), sum_pixels(pair.counted)
    return (total / ops.maximum(number, 1))[:, 0]


def _soft_dice(pair: TargetPair) -> Tensor:
    """Return the mean over the foreground classes of 1 - (2 sum(p t) + 1) / (sum(p + t) + 1).

    With the added ones, an empty class that is not predicted has a loss of 0.
    """
    p, t = pair.foreground
    overlap = 2 * sum_pixels(p * t) + 1
    return ops.mean(1 - overlap / (sum_pixels(p) + sum_pixels(t) + 1), axis=-1)


def _soft_dice_of_present(pair: TargetPair) -> Tensor:
    """Return the mean of the losses of `_soft_dice` over the classes present in an image's truth.

    An image without foreground has a loss of 0, whatever is predicted. Otherwise its loss would be
    1 - 1 / (sum(p) + 1): almost without a gradient where many pixels are predicted, but near 0 with
    one of up to 1 for each pixel, hundreds of times that of a missed pixel. Where most images are
    empty this drives all probabilities to 0 before anything is learnt.
    """
    p, t = pair.foreground
    size = sum_pixels(t)
    losses = 1 - (2 * sum_pixels(p * t) + 1) / (sum_pixels(p) + size + 1)
    present = ops.cast(size > 0, losses.dtype)
    return ops.sum(losses * present, axis=-1) / ops.maximum(ops.sum(present, axis=-1), 1)


def _tversky(pair: TargetPair) -> Tensor:
    """Return the mean over the foreground of 1 - (TP + 1/2) / (TP + 0.3 FP + 0.7 FN + 1/2).

    TP = sum(p t), FP = sum(p (1 - t)), FN = sum((1 - p) t): the Tversky index (Salehi et al. 2017,
    arXiv 1706.05721), where a missed pixel costs more than a false one. With 0.5 for both weights
    it would be the soft Dice, whose smoothing it shares.
    """
    p, t = pair.foreground
    true_positive = sum_pixels(p * t)
    false_positive = sum_pixels(p * (1 - t))
    false_negative = sum_pixels((1 - p) * t)
    size = true_positive + _ALPHA * false_positive + _BETA * false_negative
    return ops.mean(1 - (true_positive + 0.5) / (size + 0.5), axis=-1)


def _lovasz_softmax(pair: TargetPair) -> Tensor:
    """Return the Lovász extension of the Jaccard loss (Berman et al. 2018, arXiv 1705.08790).

    A pixel's error in a class is |t - p|. The errors are sorted in descending order, and each is
    multiplied by the increase of the Jaccard loss when its pixel is added to the misclassified
    ones before it (algorithm 1 of the paper). For probabilities of 0 and 1 this is 1 - Jaccard.

    With several softmax channels it is the mean over the classes present in an image's truth, as
    in the paper. The background is one of them: without it, an image that holds nothing else would
    have no loss. With one sigmoid channel it is the foreground's, present or not; an image without
    foreground has its largest error as the loss.
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
    """Return the increase of the Jaccard loss with each misclassified pixel, sorted by error.

    A missed pixel makes the intersection smaller by 1, which adds 1 / union. A false pixel makes
    the union greater by 1, which adds intersection / (union (union - 1)), or 1 if the union was
    empty. These forms avoid the difference of two almost equal quotients. The truth is int32,
    since float32 cannot count the pixels of a large image.
    """
    total = ops.sum(truth, axis=-1, keepdims=True)
    intersection = ops.cast(total - ops.cumsum(truth, axis=-1), dtype)
    union = ops.cast(total + ops.cumsum(1 - truth, axis=-1), dtype)
    of_false = intersection / (union * ops.maximum(union - 1, 1))
    of_false = ops.where(union > 1, of_false, ops.ones_like(union))
    return ops.where(truth == 1, 1 / union, of_false)


def _centreline_dice(pair: TargetPair) -> Tensor:
    """Return the soft clDice loss, the mean over the foreground (Shit et al., arXiv 2003.07311).

    With the soft skeletons s(p) and s(t) of probabilities p and truth t it is
    1 - 2 T_prec T_sens / (T_prec + T_sens), where T_prec = (sum(s(p) t) + 1) / (sum(s(p)) + 1)
    and T_sens = (sum(s(t) p) + 1) / (sum(s(t)) + 1) (the paper's algorithm 2). With the added
    ones, an empty class that is not predicted has a loss of 0. Ignored pixels are background in
    truth and prediction, so that nothing predicted there affects its neighbourhood.
    """
    p, t = pair.foreground
    precision = _fraction_within(soft_skeleton(p), t)
    sensitivity = _fraction_within(soft_skeleton(t), p)
    return ops.mean(1 - 2 * precision * sensitivity / (precision + sensitivity), axis=-1)


def soft_skeleton(mask: Tensor, iterations: int = _ITERATIONS) -> Tensor:
    """Return the soft skeleton of a mask (algorithm 1 of the paper of `_centreline_dice`).

    Each iteration adds what opening removes, then erodes. Erosion is the minimum over a pixel and
    its four neighbours, dilation the maximum over 3 x 3 pixels. Pixels outside the image are left
    out of both, so that a line keeps its skeleton up to the image's border.

    Args:
        mask: `(batch, height, width, channels)`, from 0 to 1.
        iterations: Half the width in pixels of the thickest line.
    """
    eroded = _erode(mask)
    skeleton = ops.relu(mask - _maximum(eroded, (3, 3)))
    for _ in range(iterations):
        mask, eroded = eroded, _erode(eroded)
        skeleton = skeleton + (1 - skeleton) * ops.relu(mask - _maximum(eroded, (3, 3)))
    return skeleton


def _fraction_within(skeleton: Tensor, mask: Tensor) -> Tensor:
    return (sum_pixels(skeleton * mask) + 1) / (sum_pixels(skeleton) + 1)


def _erode(mask: Tensor) -> Tensor:
    return -ops.maximum(_maximum(-mask, (3, 1)), _maximum(-mask, (1, 3)))


def _maximum(values: Tensor, window: tuple[int, int]) -> Tensor:
    return ops.max_pool(values, window, strides=1, padding="same", data_format="channels_last")


LOSSES: Mapping[str, Callable[[TargetPair], Tensor]] = MappingProxyType(
    {
        "bce": _binary_cross_entropy,
        "cce": _categorical_cross_entropy,
        "dice": _soft_dice,
        "present_dice": _soft_dice_of_present,
        "focal": _focal,
        "tversky": _tversky,
        "lovasz": _lovasz_softmax,
        "cldice": _centreline_dice,
    }
)
"""The losses by name."""
