"""Bit-identical repetition of a training, also after an interruption."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
from keras import ops

from unetflow.core.hashing import generator_for
from unetflow.training.callbacks import StopWithoutProgress, TrainingListeners
from unetflow.training.saved_states import Checkpoint, TrainingState

_log = logging.getLogger(__name__)


def make_deterministic(unet: keras.Model, seed: int) -> None:
    """Make the training of a network a pure function of the seed.

    TensorFlow uses deterministic operations from now on in this process. A network that was read
    from a file has lost the seeds of its dropout, which are therefore derived from this seed.
    """
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()
    for number, state in enumerate(_dropout_states(unet)):
        first = int(generator_for(seed, "dropout", number).integers(2**31))
        state.assign([first, 0])


class EpochCheckpoint(keras.callbacks.Callback):
    """Keeps the history, resumes, and saves after each epoch all that the next ones depend on.

    That is: the weights, the state of the optimiser (its moments, its steps, the moving average of
    the weights and a halved rate), the state of dropout, the best weights, and the attributes that
    other callbacks list in `kept`. It must be the last callback.

    Args:
        unet: The network, compiled.
        checkpoint: Where the state is saved; None: nowhere.
        epochs: Of the whole training.
        callbacks: All others.
        listeners: They name the record of the training, and hear that it is resumed.
    """

    def __init__(
        self,
        unet: keras.Model,
        checkpoint: Checkpoint | None,
        epochs: int,
        callbacks: Sequence[keras.callbacks.Callback],
        listeners: TrainingListeners,
    ) -> None:
        super().__init__()
        self._unet, self._checkpoint, self._epochs = unet, checkpoint, epochs
        self._parts = {type(part).__name__: part for part in callbacks if hasattr(part, "kept")}
        self._listeners = listeners
        self.rows: list[dict[str, float]] = []
        self.finished = False
        unet.optimizer.build(unet.trainable_variables)
        self._state = None if checkpoint is None else checkpoint.load()
        if self._state is not None and checkpoint is not None:
            self._restore(self._state, checkpoint.path)

    @property
    def done(self) -> int:
        """Number of finished epochs."""
        return len(self.rows)

    def _restore(self, state: TrainingState, path: Path) -> None:
        """Restore network and optimiser from an interrupted training."""
        self.rows = list(state.facts.get("history", []))
        self.finished = bool(state.facts.get("finished", False))
        _log.info(
            "Resuming after epoch %d of %d from %s; remove that file to start again",
            self.done,
            self._epochs,
            path,
        )
        self._listeners.on_resumed(state.facts.get("record"), self.rows)
        for name, variables in self._variables().items():
            values = _numbered(state.arrays, name)
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        if self.finished:
            self._unet.set_weights(_numbered(state.arrays, "best"))

    def on_train_begin(self, logs: Any = None) -> None:
        """Restore the other callbacks, each of which has just been reset."""
        if self._state is None:
            return
        for name, part in self._parts.items():
            for attribute, value in self._state.facts["callbacks"][name].items():
                setattr(part, attribute, value)
            if isinstance(part, StopWithoutProgress):
                part.best_weights = _numbered(self._state.arrays, "best")
        self._state = None  # the memory is needed

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Save everything."""
        self.rows.append({name: float(value) for name, value in logs.items()})
        if self._checkpoint is None:
            return
        facts = {
            "history": self.rows,
            "finished": self.model.stop_training or epoch + 1 == self._epochs,
            "record": self._listeners.name_record(),
            "callbacks": {
                name: {attribute: getattr(part, attribute) for attribute in part.kept}
                for name, part in self._parts.items()
            },
        }
        saved = {name: map(ops.convert_to_numpy, own) for name, own in self._variables().items()}
        for part in self._parts.values():
            if isinstance(part, StopWithoutProgress):
                saved["best"] = part.best_weights
        arrays = {
            f"{name}_{number}": value
            for name, values in saved.items()
            for number, value in enumerate(values)
        }
        self._checkpoint.save(TrainingState(facts, arrays))

    def _variables(self) -> dict[str, list[Any]]:
        return {
            "weight": list(self._unet.weights),
            "dropout": _dropout_states(self._unet),
            "optimiser": list(self._unet.optimizer.variables),
        }


def _dropout_states(unet: keras.Model) -> list[Any]:
    """Return the variables with the random state of each dropout layer."""
    dropouts = (layer for layer in unet.layers if isinstance(layer, keras.layers.Dropout))
    return [layer.seed_generator.state for layer in dropouts if layer.rate > 0]


def _numbered(arrays: Mapping[str, Any], name: str) -> list[Any]:
    count = sum(key.rsplit("_", 1)[0] == name for key in arrays)
    return [arrays[f"{name}_{number}"] for number in range(count)]
