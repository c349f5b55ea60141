"""Selection of the validation images whose predictions are logged."""

import re
from collections.abc import Mapping
from typing import Any

from unetflow.core.errors import InputError

_FORBIDDEN = re.compile(r"[^a-zA-Z0-9_. -]")
"""Characters that MLflow does not allow in the key of an image."""


class PictureSelection:
    """Selects the same few validation images in the first epoch and in every n-th.

    Args:
        settings: `images`, the number of images, 0 for none; and `every`, the interval in epochs.

    Raises:
        InputError: A setting is not a whole number in its range.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        for name, least in (("images", 0), ("every", 1)):
            value = settings.get(name)
            if not isinstance(value, int) or value < least:
                raise InputError(
                    f"conf/base/mlflow.yml: pictures.{name}",
                    f"{value!r} is not allowed",
                    f"Give a whole number of at least {least}",
                )
        self._images, self._every = int(settings["images"]), int(settings["every"])
        self._ids: list[str] = []

    def wants(self, epoch: int, sample_id: str) -> bool:
        """Return whether to log a validation image in an epoch, counted from 1."""
        if len(self._ids) < self._images and sample_id not in self._ids:
            self._ids.append(sample_id)
        return sample_id in self._ids and (epoch == 1 or epoch % self._every == 0)


def picture_key(sample_id: str) -> str:
    """Return the MLflow key of a sample's pictures."""
    return f"validation/{_FORBIDDEN.sub('_', sample_id)}"
