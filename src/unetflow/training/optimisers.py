"""Optimisers and learning-rate schedules by name."""

from typing import Any

import keras
import numpy as np
from keras import ops

from unetflow.config.training import TrainingParameters
from unetflow.core.errors import InputError
from unetflow.models.blocks import Tensor
from unetflow.training.callbacks import ComparedEpochs


def build_optimiser(settings: TrainingParameters, total_steps: int) -> keras.optimizers.Optimizer:
    """Build an optimiser whose learning rate follows a schedule over all steps of a training.

    With the schedule "plateau" its rate is constant: `PlateauRate` changes it.
    """
    rate: Any = settings.learning_rate
    if settings.schedule != "plateau":
        rising = round(total_steps * settings.warmup_fraction)
        rate = WarmUpRate(rate, settings.schedule, rising, max(total_steps - rising, 1))
    options: dict[str, Any] = {"global_clipnorm": settings.global_clipnorm}
    if settings.ema_momentum:
        options |= {"use_ema": True, "ema_momentum": settings.ema_momentum}
    if settings.optimiser == "sgd":
        return keras.optimizers.SGD(rate, settings.momentum, settings.nesterov, **options)
    if settings.optimiser == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay, **options)
    return {"adam": keras.optimizers.Adam}[settings.optimiser](rate, **options)


@keras.saving.register_keras_serializable("unetflow")
class WarmUpRate(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises from zero, and then stays or falls to zero.

    Keras has no constant or polynomial schedule with warm-up, so that all three are here. After
    the rise, with p the fraction of the remaining steps that is done, the rate is

    - "constant": `highest`;
    - "cosine": `highest` (1 + cos(pi p)) / 2 (Loshchilov and Hutter, arXiv 1608.03983);
    - "poly": `highest` (1 - p)^0.9 (Chen et al., arXiv 1606.00915).

    Args:
        highest: The rate at the end of the rise.
        shape: "constant", "cosine" or "poly".
        rising_steps: Steps of the rise; 0 for none.
        falling_steps: Steps after it, at least 1.
    """

    def __init__(self, highest: float, shape: str, rising_steps: int, falling_steps: int) -> None:
        self.highest, self.shape = highest, shape
        self.rising_steps, self.falling_steps = rising_steps, falling_steps
        self._fall = {"constant": ops.ones_like, "cosine": _cosine, "poly": _poly}[shape]

    def __call__(self, step: Tensor) -> Tensor:
        """Return the rate of a step, counted from 0."""
        step = ops.cast(step, "float32")
        done = ops.clip((step - self.rising_steps) / self.falling_steps, 0.0, 1.0)
        rise = ops.minimum(step / max(self.rising_steps, 1), 1.0) if self.rising_steps else 1.0
        return self.highest * rise * self._fall(done)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, so that Keras can store the schedule."""
        names = ("highest", "shape", "rising_steps", "falling_steps")
        return {name: getattr(self, name) for name in names}


class PlateauRate(ComparedEpochs, keras.callbacks.ReduceLROnPlateau):
    """Halves the learning rate when no epoch is better for a third of the patience.

    Before, the rate rises in a fraction of all steps of the training.
    """

    kept = ("best", "wait", "cooldown_counter")

    def __init__(self, settings: TrainingParameters, total_steps: int) -> None:
        patience = max(settings.patience // 3, 1)
        super().__init__(monitor=self.RANK, mode="max", factor=0.5, patience=patience)
        self._highest = settings.learning_rate
        self._rising_steps = round(total_steps * settings.warmup_fraction)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the rate of a step of the rise."""
        step = int(self.model.optimizer.iterations)
        if step <= self._rising_steps and self._rising_steps:
            self.model.optimizer.learning_rate = self._highest * step / self._rising_steps


class AveragedWeights(keras.callbacks.SwapEMAWeights):
    """Validates the moving average of the weights in place of the weights.

    Raises:
        InputError: Under JAX, where Keras 3.15 lets two variables share an array that the next
            step takes away.
    """

    kept = ("_ema_weights_in_model",)

    def __init__(self) -> None:
        if keras.backend.backend() == "jax":
            raise InputError(
                "training.ema_momentum",
                "Keras cannot average weights under JAX",
                "Set it to 0, or train with KERAS_BACKEND=tensorflow",
            )
        super().__init__(swap_on_epoch=True)


def _cosine(done: Tensor) -> Tensor:
    return (1 + ops.cos(np.pi * done)) / 2


def _poly(done: Tensor) -> Tensor:
    return (1 - done) ** 0.9
