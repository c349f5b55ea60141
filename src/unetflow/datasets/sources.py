"""Images and annotations of the user, and synthetic ones."""

from dataclasses import replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar

from unetflow.annotations.autodetect.detect_layout import detect_layout
from unetflow.annotations.layouts.registry import LAYOUTS, find_pairs
from unetflow.annotations.records import Pairing
from unetflow.annotations.split_table import SplitTable, apply_split_table
from unetflow.core.errors import InputError
from unetflow.data.synthetic import write_synthetic_images
from unetflow.datasets.images import ImageFolderDataset
from unetflow.datasets.read_only import RAW, ReadOnlyDataset
from unetflow.io.download import download
from unetflow.io.file_listing import natural_order
from unetflow.io.formats.bounds import MAX_PIXELS
from unetflow.io.image_file import ImageFile

Loaded = TypeVar("Loaded")

_PLACE = "the path of a folder or a zip archive"


def _checked(option: str, value: Any, kind: type | UnionType, expected: str) -> Any:
    """Return a value of the catalog if it has the right type; YAML may have guessed another."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise InputError(
            option,
            f"{value!r} is not {expected}",
            "Correct it in the catalog; a text such as '2018' needs quotes around it",
        )
    return value


class _Source(ReadOnlyDataset[Loaded], Generic[Loaded]):
    """Finds the pairs of a data set, without opening an image.

    Args:
        path: A folder, or a zip archive, which is read in place.
        layout: Arrangement of images and annotations, a name in
            `annotations.layouts.registry.LAYOUTS`; None detects it, where only one fits.
        splits: Options of the layout by the split's name, where folders split the data already.
        split_table: See `SplitTable`; where a table splits the data already.
        download: `{url: ..., sha256: ...}` of the file at `path`, fetched when it is missing.
        metadata: Anything; Kedro ignores it.
        options: Options of the layout.
    """

    def __init__(
        self,
        *,
        path: str,
        layout: str | None = None,
        splits: dict[str, dict[str, Any]] | None = None,
        split_table: dict[str, Any] | None = None,
        download: dict[str, str] | None = None,
        metadata: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(metadata=metadata or RAW)
        self._path = Path(_checked("path", path, str | Path, _PLACE))
        self._layout = layout
        self._splits = splits
        self._split_table = split_table
        given = _checked("download", download, dict | NoneType, "a list with `url` and `sha256`")
        self._download = given and {str(key): value for key, value in given.items()}
        self._options = options

    def _find(self) -> Pairing:
        if self._download is not None:
            download(self._path, self._download)
        layout, options, splits = self._layout, self._options, self._splits
        if layout is None and (options or splits):
            raise InputError(
                self._path,
                "the catalog gives options without a layout",
                f"Add `layout:` with one of {', '.join(LAYOUTS)}",
            )
        detected_layout = ""
        if layout is None:
            detected = detect_layout(self._path)
            detected_layout = detected.explain(self._path)
            layout, options, splits = detected.layout, detected.options, detected.splits
        pairing = find_pairs(self._path, layout, options, splits)
        if self._split_table is not None:
            pairing = apply_split_table(pairing, self._path, SplitTable.read(self._split_table))
        return replace(pairing, detected_layout=detected_layout)

    def _exists(self) -> bool:
        return self._path.exists()

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._path), "layout": self._layout, **self._options}


class SourceDataset(_Source[Pairing]):
    """Images and their annotations; see `_Source` for the arguments.

    Example:
        ```yaml
        raw_pairs:
          type: unetflow.datasets.SourceDataset
          path: data/01_raw/mine
          layout: folders
          images: images
          masks: masks
        ```
    """

    def load(self) -> Pairing:
        """Find the pairs."""
        return self._find()


class SourceImagesDataset(_Source[dict[str, ImageFile]]):
    """The images alone, to be segmented; see `_Source` for the arguments.

    Args:
        unlabelled: Whether to leave out images that have an annotation.
        instead: A folder or archive, all of whose images replace those of the source.
        max_pixels: Width times height above which an image is refused unread.
        source: The arguments of `_Source`.

    Example:
        ```yaml
        images_to_segment:
          type: unetflow.datasets.SourceImagesDataset
          path: data/01_raw/cells.zip
          layout: objects
          instead: ${runtime_params:images,null}
        ```
    """

    def __init__(
        self,
        *,
        unlabelled: bool = False,
        instead: str | None = None,
        max_pixels: int = MAX_PIXELS,
        **source: Any,
    ) -> None:
        super().__init__(**source)
        self._instead = _checked("instead", instead, str | Path | NoneType, _PLACE)
        self._unlabelled = _checked("unlabelled", unlabelled, bool, "true or false")
        self._max_pixels = _checked("max_pixels", max_pixels, int | float, "a number")

    def load(self) -> dict[str, ImageFile]:
        """Return each image by its id, unread."""
        if self._instead is not None:
            return ImageFolderDataset(path=self._instead, max_pixels=self._max_pixels).load()
        pairing = self._find()
        images = dict(pairing.unlabelled)
        if not self._unlabelled:
            images |= {pair.id: pair.image for pair in pairing.pairs}
        return {
            name: ImageFile(images[name].file, self._max_pixels, images[name].page)
            for name in sorted(images, key=natural_order)
        }


class DemoPairsDataset(SourceDataset):
    """Synthetic microscope images, written to a folder when they are missing.

    Args:
        path: The folder; `images` and `masks` are made in it.
        count: Number of images.
        size: Edge length of each in pixels.
        seed: Seed of the random numbers.
        metadata: Anything; Kedro ignores it.
    """

    def __init__(
        self,
        *,
        path: str,
        count: int = 80,
        size: int = 256,
        seed: int = 42,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(path=path, layout="folders", metadata=metadata)
        numbers = {"count": count, "size": size, "seed": seed}
        for option, value in numbers.items():
            _checked(option, value, int, "a whole number")
        self._demo = (count, size, seed)

    def load(self) -> Pairing:
        """Write what is missing, then find the pairs."""
        write_synthetic_images(self._path, *self._demo)
        return super().load()
