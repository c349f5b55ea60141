"""Random truths and predictions, their losses and gradients."""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from unetflow.models.segmentation_loss import SegmentationLoss


def random_truth(seed: int, batch: int, channels: int, size: tuple[int, int] = (4, 5)) -> NDArray:
    """Return `(batch, height, width, 1)` labels, some ignored, for that many output channels."""
    random = np.random.default_rng(seed)
    classes = [*range(max(channels, 2)), 255]
    return random.choice(classes, (batch, *size, 1)).astype(np.uint8)


def random_prediction(
    seed: int, batch: int, channels: int, size: tuple[int, int] = (4, 5)
) -> NDArray[np.float32]:
    """Return probabilities; those of several channels sum to 1."""
    values = np.random.default_rng(seed).uniform(0.02, 0.98, (batch, *size, channels))
    if channels > 1:
        values /= values.sum(axis=-1, keepdims=True)
    return values.astype(np.float32)


def losses_of(terms, truth, chance, class_weights=None) -> NDArray:
    """Return the loss of each image."""
    loss = SegmentationLoss(terms, class_weights)
    return np.asarray(loss.call(tf.constant(truth), tf.constant(chance)))


def gradient_of(terms, truth, chance, class_weights=None) -> NDArray:
    """Return the gradient of the batch's loss with respect to the prediction."""
    variable = tf.Variable(chance)
    with tf.GradientTape() as tape:
        value = SegmentationLoss(terms, class_weights)(truth, variable)
    return tape.gradient(value, variable).numpy()


def images(truth, chance):
    """Yield the labels and the probabilities of each image's counted pixels.

    Labels are `(pixels,)`, probabilities `(pixels, classes)` float64 of all classes, with the
    background's added where there is one channel.
    """
    for label, image in zip(truth[..., 0], chance.astype(np.float64), strict=True):
        counted = label != 255
        p = image[counted]
        yield label[counted], np.concatenate([1 - p, p], axis=1) if p.shape[1] == 1 else p
