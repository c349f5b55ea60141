"""Files in this project's own formats, any other file made atomic, and folders of either."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from kedro.io import AbstractDataset, DatasetError
from kedro.io.core import parse_dataset_definition
from kedro_datasets.partitions import PartitionedDataset
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ValidationError

from unetflow.config.parameters import Plan
from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError
from unetflow.data.fingerprint import Fingerprint
from unetflow.instances.export_formats import write_coco, write_geojson, write_imagej_rois
from unetflow.io.files import file_signature, require_file
from unetflow.io.formats.readers import read_image, read_mask
from unetflow.io.pixel_size import PixelSize, read_pixel_size
from unetflow.io.tiff_writer import write_label_tiff, write_probability_tiff, write_tiff

if TYPE_CHECKING:
    import keras

    from unetflow.inference.segmenter import Segmenter

SizedPixels = tuple[NDArray[Any], PixelSize | None]
"""Numbers for each pixel of an image, and the size of a pixel; None where it is not known."""


@dataclass(frozen=True)
class _Format:
    """How files are written, read (None: never), and whether nodes share what was read (`keep`)."""

    save: Callable[[Path, Any], None]
    load: Callable[[Path], Any] | None = None
    keep: bool = False


class FileDataset(AbstractDataset[Any, Any]):
    """One file, replaced in one step.

    Args:
        filepath: The file.
        format: What it holds, a name in `FORMATS`:

            - `image`: 8 or 16 bit pixels `(height, width)` or `(height, width, 3)` as PNG or TIFF,
              by the file's ending; a TIFF is compressed without loss and may hold float32, too
            - `labels`: class indices or object numbers `(height, width)` and the size of a pixel,
              as TIFF with the header of OME (ending `.ome.tif`) or ImageJ
            - `probabilities`: `(height, width, classes)` float32, likewise
            - `geojson`, `imagej`: the objects of an image and the names of all classes, for QuPath
              and for ImageJ's ROI Manager; only written
            - `coco`: the same of many images, one at a time; only written
            - `keras`: a Keras model, loaded in safe mode
            - `segmenter`: a network with its settings
            - `exported`: a segmenter for another runtime than Keras
            - `bioimageio`: a model's package for bioimage.io; only written
            - `plan`, `fingerprint`: a model of that name as JSON, without fields that are not set

    Raises:
        InputError: There is no such format.
    """

    def __init__(
        self, *, filepath: str, format: str, metadata: dict[str, Any] | None = None
    ) -> None:
        if format not in FORMATS:
            raise InputError(
                filepath, f"there is no format '{format}'", f"Use one of {', '.join(FORMATS)}"
            )
        self._filepath = Path(filepath)
        self._format = format
        self._kept: tuple[str, Any] | None = None  # the file's signature, and what it holds
        self.metadata = metadata

    def load(self) -> Any:
        """Read the file, once in a run where nodes share what it holds."""
        format = FORMATS[self._format]
        if format.load is None:
            raise DatasetError(f"{self._filepath} is only written, for other programs.")
        signature = file_signature(self._filepath) if self._exists() else ""
        kept = self._kept
        if kept is None or kept[0] != signature:
            kept = signature, format.load(self._filepath)
        self._kept = kept if format.keep else None
        return kept[1]

    def save(self, data: Any) -> None:
        """Replace the file in one step."""
        self._kept = None
        FORMATS[self._format].save(self._filepath, data)

    def _release(self) -> None:
        self._kept = None

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "format": self._format}


def _save_image(path: Path, pixels: NDArray[np.generic]) -> None:
    if path.suffix.lower() in (".tif", ".tiff"):
        write_tiff(path, pixels, compression="zlib")
        return
    with atomic_write(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")


def _load_image(path: Path) -> NDArray[np.generic]:
    pixels = read_image(path)
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels


def _load_labels(path: Path) -> SizedPixels:
    return read_mask(path), read_pixel_size(path)


def _load_probabilities(path: Path) -> SizedPixels:
    return read_image(path), read_pixel_size(path)


# Keras is imported when a model is read or written: it costs seconds.
def load_keras_model(path: Path) -> "keras.Model":
    """Read a Keras model in safe mode."""
    from unetflow.models.keras_io import load_keras

    return load_keras(path)


def _save_keras_model(path: Path, model: "keras.Model") -> None:
    from unetflow.models.keras_io import save_keras

    save_keras(model, path)


def load_segmenter(path: Path) -> "Segmenter":
    """Read a segmenter in safe mode."""
    from unetflow.inference.segmenter import Segmenter

    return Segmenter.load(path)


def _json_format(model: type[BaseModel]) -> _Format:
    def save(path: Path, data: BaseModel) -> None:
        values = data.model_dump(mode="json", exclude_unset=True)
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(values, indent=2), encoding="utf-8")

    def load(path: Path) -> BaseModel:
        require_file(path)
        try:
            return model.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise InputError(
                path,
                f"it is damaged or of another version ({where}: {first['msg']})",
                "Run the stage that writes it again",
            ) from error

    return _Format(save, load)


FORMATS = {
    "image": _Format(_save_image, _load_image),
    "labels": _Format(lambda path, data: write_label_tiff(path, *data), _load_labels),
    "probabilities": _Format(
        lambda path, data: write_probability_tiff(path, *data), _load_probabilities
    ),
    "geojson": _Format(lambda path, data: write_geojson(path, *data)),
    "imagej": _Format(lambda path, data: write_imagej_rois(path, *data)),
    "coco": _Format(lambda path, data: write_coco(path, *data)),
    "keras": _Format(_save_keras_model, load_keras_model),
    # A network is traced when it predicts for the first time, which takes longer than reading it.
    "segmenter": _Format(lambda path, segmenter: segmenter.save(path), load_segmenter, keep=True),
    "exported": _Format(lambda path, exported: exported.write(path), load_segmenter),
    "bioimageio": _Format(lambda path, package: package.save(path)),
    "plan": _json_format(Plan),
    "fingerprint": _json_format(Fingerprint),
}
"""The formats by name."""


class AtomicDataset(AbstractDataset[Any, Any]):
    """Saves through another dataset, but into a temporary file that then takes the place.

    A run that is killed while it writes leaves the old file as it was. Kedro-Viz names a dataset by
    its class and chooses its symbol so: an instance has the name of the other dataset's class.

    Args:
        filepath: The file.
        dataset: The other dataset's type, or its configuration without a file path.
        optional: Whether a missing file is loaded as None rather than being an error.

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


class PartitionsDataset(PartitionedDataset):
    """The partitions of kedro-datasets, of which there may be none.

    Args:
        replace: Whether files that are not among the saved ones are removed after saving.
        options: See `partitions.PartitionedDataset`.
    """

    def __init__(self, *, replace: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self._replace = replace

    def load(self) -> dict[str, Callable[[], Any]]:
        """Return a function for each file that reads it."""
        found: dict[str, Callable[[], Any]] = super().load() if self.exists() else {}
        return found

    def save(self, data: Mapping[str, Any]) -> None:
        """Write the files."""
        super().save(data)
        if self._replace:
            for name in self.load().keys() - data.keys():
                Path(self._partition_to_path(name)).unlink()
