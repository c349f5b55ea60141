"""Which predictions of a training become pictures."""

import re
from collections.abc import Mapping
from typing import Any

from unetflow.core.errors import InputError

_NOT_IN_A_KEY = re.compile(r"[^a-zA-Z0-9_. -]")


class PictureChoice:
    """Picks the same few validation images in some epochs: the first one, and every so many.

    Args:
        settings: `images`, how many, 0 for none; and `every`, so many epochs.

    Raises:
        InputError: A setting is not such a number.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        for name, least in (("images", 0), ("every", 1)):
            value = settings.get(name)
            if not isinstance(value, int) or value < least:
                raise InputError(
                    f"conf/base/mlflow.yml: pictures.{name}",
                    f"{value!r} is not allowed",
                    f"Give a whole number from {least} on",
                )
        self._images, self._every = int(settings["images"]), int(settings["every"])
        self._ids: list[str] = []

    def wants(self, epoch: int, sample_id: str) -> bool:
        """Tell whether a validation image is one of them in this epoch, from 1."""
        if len(self._ids) < self._images and sample_id not in self._ids:
            self._ids.append(sample_id)
        return sample_id in self._ids and (epoch == 1 or epoch % self._every == 0)


def picture_key(sample_id: str) -> str:
    """Return the name of a sample's pictures, with the characters that MLflow allows."""
    return f"validation/{_NOT_IN_A_KEY.sub('_', sample_id)}"
