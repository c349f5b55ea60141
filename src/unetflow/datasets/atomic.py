"""Any dataset that writes one file, made atomic."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self, cast

from kedro.io import AbstractDataset
from kedro.io.core import parse_dataset_definition

from unetflow.core.atomic import atomic_write
from unetflow.io.files import require_file


class AtomicDataset(AbstractDataset[Any, Any]):
    """Saves through another dataset, but into a temporary file that then takes the place.

    A run that is killed while it writes leaves the old file as it was. Kedro-Viz names a dataset by
    its class and chooses its symbol so: an instance has the name of the other dataset's class.

    Args:
        filepath: The file.
        dataset: The other dataset's type, or its configuration without a file path.
        optional: Whether a missing file is loaded as None rather than being an error.
        metadata: Anything; Kedro ignores it.

    Example:
        ```yaml
        history:
          type: unetflow.datasets.AtomicDataset
          filepath: data/08_reporting/history.csv
          dataset: {type: pandas.CSVDataset, save_args: {index: false}}
        ```
    """

    def __new__(cls, *, dataset: str | dict[str, Any], **_: Any) -> Self:
        """Make an instance of a subclass that is named as the other dataset."""
        kind, _ = parse_dataset_definition(_configuration(dataset))
        return object.__new__(type(kind.__name__, (cls,), {"__module__": kind.__module__}))

    def __init__(
        self,
        *,
        filepath: str,
        dataset: str | dict[str, Any],
        optional: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._filepath = Path(filepath)
        self._dataset = _configuration(dataset)
        self._optional = optional
        self.metadata = metadata

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy by the arguments, since the class of an instance cannot be imported by its name."""
        options: dict[str, Any] = {"optional": self._optional, "metadata": self.metadata}
        make = partial(AtomicDataset, filepath=str(self._filepath), dataset=self._dataset)
        return partial(make, **options), ()

    def load(self) -> Any:
        """Load the file."""
        if self._optional and not self._exists():
            return None
        require_file(self._filepath)
        return self._dataset_at(self._filepath).load()

    def save(self, data: Any) -> None:
        """Replace the file."""
        with atomic_write(self._filepath) as temporary:
            self._dataset_at(temporary).save(data)

    @property
    def preview(self) -> Callable[..., Any]:
        """The other dataset's preview, which Kedro-Viz shows.

        Raises:
            AttributeError: It has none, or there is no file yet.
        """
        if not self._exists():
            raise AttributeError("preview")
        inner: Any = self._dataset_at(self._filepath)
        return cast("Callable[..., Any]", inner.preview)

    def _dataset_at(self, path: Path) -> AbstractDataset[Any, Any]:
        return AbstractDataset.from_config(
            self._filepath.name, {**self._dataset, "filepath": str(path)}
        )

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "dataset": self._dataset}


def _configuration(dataset: str | dict[str, Any]) -> dict[str, Any]:
    return {"type": dataset} if isinstance(dataset, str) else dataset
