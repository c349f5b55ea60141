"""What every layout finds for each image: its file, its annotation, its group and its split."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from unetflow.annotations.raster import Annotation, SourceImage
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing, natural_order
from unetflow.io.files import File
from unetflow.io.formats.readers import is_image

_UNSUPPORTED = re.compile(
    r"\.(avif|czi|dcm|exr|heic|ims|j2k|jp2|lif|lsm|mha|mrxs|nd2|ndpi|nii|nii\.gz|npy|nrrd|oib|oif"
    r"|pbm|pgm|pnm|ppm|svs|vsi|webp)$",
    re.IGNORECASE,
)
"""Extensions of images that no reader knows; leaving them out silently would hide them."""


@dataclass(frozen=True)
class Pair:
    """One image and its annotation."""

    id: str  # no other image of the data set has it: a path with slashes, without extension
    image: SourceImage
    annotation: Annotation
    region: File | None = None  # a mask of the pixels that count (all but 0); None where all do
    # What must stay on one side of a split, such as the volume of a slice, if the source states it.
    group: str | None = None
    split: str | None = None  # "train", "validation" or "test", if the source states it
    # Whether the group is a series of neighbours, such as the slices of a volume, which a split
    # into contiguous blocks may cut.
    is_series: bool = False


@dataclass(frozen=True)
class Pairing:
    """What a layout finds."""

    pairs: list[Pair]  # in natural order
    refused: list[InputError]  # one for each file that is left out
    # The images without annotation by id; they wait for a model's masks.
    unlabelled: dict[str, SourceImage] = field(default_factory=dict)
    detected_layout: str = ""  # explanation of a layout that was detected


def build_pairing(
    pairs: Iterable[Pair], unlabelled: Iterable[tuple[str, File]], refused: Iterable[InputError]
) -> Pairing:
    """Put pairs and the ids and files of others in order, and refuse images that share an id."""
    annotated = {}
    images: dict[str, list[SourceImage]] = defaultdict(list)
    for pair in pairs:
        annotated[pair.id] = pair
        images[pair.id].append(pair.image)
    for identifier, file in unlabelled:
        images[identifier].append(SourceImage(file))
    sole = [i for i in sorted(images, key=natural_order) if len(images[i]) == 1]
    errors, fix = list(refused), "Rename or remove all but one of them"
    for identifier, found in images.items():
        names = ", ".join(image.file.name for image in found)
        problem = f"several images have the id '{identifier}': {names}"
        errors += [InputError(image, problem, fix) for image in found if len(found) > 1]
    return Pairing(
        [annotated[i] for i in sole if i in annotated],
        sort_errors(errors),
        {i: images[i][0] for i in sole if i not in annotated},
    )


def sort_errors(errors: Iterable[InputError]) -> list[InputError]:
    """Return errors in the natural order of what they are about."""
    return sorted(errors, key=lambda error: natural_order(error.where))


def list_images(listing: FileListing, folder: str) -> tuple[dict[str, File], list[InputError]]:
    """Return the images within a folder by their paths in it, and `list_refused` of the folder."""
    images = {name: file for name, file in listing.within(folder).items() if is_image(name)}
    return images, list_refused(listing, {folder})


def list_refused(listing: FileListing, folders: Iterable[str]) -> list[InputError]:
    """Return a listing's errors, and one for each image in folders whose format no reader knows."""
    prefixes = tuple(folder_prefix(folder) for folder in folders)
    unsupported = [
        InputError(file, f"no reader knows {file.suffix} files", "Convert it to TIFF")
        for name, file in listing.files.items()
        if name.startswith(prefixes) and _UNSUPPORTED.search(name)
    ]
    return [*listing.refused, *unsupported]


def folder_prefix(folder: str) -> str:
    """Return the common start of the paths within a folder."""
    return "" if folder in (".", "") else folder.strip("/") + "/"


def without_suffix(name: str) -> str:
    """Return a path without the extension of its last part."""
    return posixpath.splitext(name)[0]
