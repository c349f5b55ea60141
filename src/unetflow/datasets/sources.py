"""Images and annotations that a run reads, and synthetic ones."""

import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

from unetflow.annotations.autodetect.detect_layout import detect_layout
from unetflow.annotations.layouts.find_pairs import LAYOUTS, find_pairs
from unetflow.annotations.records import Pairing
from unetflow.annotations.split_table import SplitTable, apply_split_table
from unetflow.core.errors import InputError
from unetflow.data.synthetic import write_synthetic_images
from unetflow.datasets.read_only import RAW, Loaded, ReadOnlyDataset
from unetflow.io.download import download
from unetflow.io.file_listing import list_files, natural_order
from unetflow.io.files import File
from unetflow.io.formats.bounds import MAX_PIXELS
from unetflow.io.formats.readers import READERS, is_image
from unetflow.io.image_file import ImageFile

_log = logging.getLogger(__name__)

_ZARR = ".zarr"
_PLACE = "the path of a folder or a zip archive"


class ImageFolderDataset(ReadOnlyDataset[dict[str, ImageFile]]):
    """All images of a folder and its subfolders, each read on access.

    A folder whose name ends in `.zarr` is one image.

    Args:
        path: The folder, or a zip archive.
        max_pixels: Width times height above which an image is refused unread.
    """

    def __init__(
        self, *, path: str, max_pixels: int = MAX_PIXELS, metadata: dict[str, Any] | None = None
    ) -> None:
        self._path = Path(path)
        super().__init__(metadata=metadata or RAW, path=str(self._path))
        self._max_pixels = max_pixels

    def load(self) -> dict[str, ImageFile]:
        """Return each image unread.

        The names are the paths below the folder without the ending, which stays where two images
        would otherwise have one name.
        """
        if self._path.is_dir() and self._path.suffix.lower() == _ZARR:
            return {self._path.stem: ImageFile(self._path)}
        listing = list_files(self._path)
        for error in listing.refused:
            _log.warning("Left out %s", error)
        found: dict[str, File] = {}
        for name, file in listing.files.items():
            folder = _zarr_folder(name)
            if folder is None and is_image(name):
                found[name] = file
            elif folder is not None and self._path.is_dir():
                found[folder] = self._path / folder
        if not found:
            raise InputError(
                self._path,
                f"it holds no image ({', '.join(READERS)}, {_ZARR})",
                "Put images there, or correct the path",
            )
        stems = {name: name.rpartition(".")[0] for name in sorted(found, key=natural_order)}
        times = Counter(stems.values())
        return {
            name if times[stem] > 1 else stem: ImageFile(found[name], self._max_pixels)
            for name, stem in stems.items()
        }

    def _exists(self) -> bool:
        return self._path.exists()


def _zarr_folder(name: str) -> str | None:
    """Return the path of the Zarr folder that holds a file; None where there is none."""
    parts = name.split("/")[:-1]
    ends = [number for number, part in enumerate(parts, 1) if part.lower().endswith(_ZARR)]
    return "/".join(parts[: ends[0]]) if ends else None


def _checked(option: str, value: Any, kind: type | UnionType, expected: str) -> Any:
    """Return a value of the catalog if it has the right type; YAML may have guessed another."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise InputError(
            option,
            f"{value!r} is not {expected}",
            "Correct it in the catalog; a text such as '2018' needs quotes around it",
        )
    return value


class _Source(ReadOnlyDataset[Loaded]):
    """Finds the pairs of a data set, without opening an image.

    Args:
        path: A folder, or a zip archive, which is read in place.
        layout: Arrangement of images and annotations, a name in
            `annotations.layouts.find_pairs.LAYOUTS`; None detects it, where only one fits.
        splits: Options of the layout by the split's name, where folders split the data already.
        split_table: See `SplitTable`; where a table splits the data already.
        download: `{url: ..., sha256: ...}` of the file at `path`, fetched when it is missing.
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
        self._path = Path(_checked("path", path, str | Path, _PLACE))
        described = {"path": str(self._path), "layout": layout, **options}
        super().__init__(metadata=metadata or RAW, **described)
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
        detected_layout = ""
        if layout is None:
            if options or splits:
                raise InputError(
                    self._path,
                    "the catalog gives options without a layout",
                    f"Add `layout:` with one of {', '.join(LAYOUTS)}",
                )
            detected = detect_layout(self._path)
            detected_layout = detected.explain(self._path)
            layout, options, splits = detected.layout, detected.options, detected.splits
        pairing = find_pairs(self._path, layout, options, splits)
        if self._split_table is not None:
            pairing = apply_split_table(pairing, self._path, SplitTable.read(self._split_table))
        return replace(pairing, detected_layout=detected_layout)

    def _exists(self) -> bool:
        return self._path.exists()


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
        self._numbers = {"count": count, "size": size, "seed": seed}
        for option, value in self._numbers.items():
            _checked(option, value, int, "a whole number")

    def load(self) -> Pairing:
        """Write what is missing, then find the pairs."""
        write_synthetic_images(self._path, **self._numbers)
        return super().load()
