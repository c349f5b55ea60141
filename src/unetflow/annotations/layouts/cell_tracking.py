"""The layout `cell_tracking`: films of cells as the Cell Tracking Challenge lays them out."""

import re
from dataclasses import dataclass, field

from unetflow.annotations.raster import InstanceMask
from unetflow.annotations.records import Pair, Pairing, SourceImage
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing, natural_order
from unetflow.io.formats.registry import is_image

_TRUTHS = ("GT", "ST")
"""Gold truth is drawn by people, silver truth is computed from what took part."""
_FRAME = re.compile(r"t(\d{3,4})\.tif", re.IGNORECASE)
_LABEL = re.compile(r"man_seg(\d{3,4})\.tif", re.IGNORECASE)
_SLICE_LABEL = re.compile(r"man_seg_(\d{3,4})_(\d{3,4})\.tif", re.IGNORECASE)

Number = tuple[str, int]


@dataclass
class _Film:
    """What is found, by the name of the sequence and the number of the frame."""

    frames: dict[Number, str] = field(default_factory=dict)
    labels: dict[Number, str] = field(default_factory=dict)
    volumes: set[str] = field(default_factory=set)
    refused: list[InputError] = field(default_factory=list)


def find_cell_tracking(listing: FileListing, *, truth: str = "GT") -> Pairing:
    """Find the frames `01/t000.tif` and their objects `01_GT/SEG/man_seg000.tif`.

    Args:
        listing: The files of a data set, or of the one folder that holds it.
        truth: "GT" (gold truth) or "ST" (silver truth).

    Returns:
        A pair for each labelled frame, with its sequence as group; the other frames are
        unlabelled. Files under other names, labels without frame, and labels of single slices
        are refused; the folder `TRA` and other results are passed over.

    Raises:
        InputError: `truth` is neither, or no sequence is there.
    """
    if truth not in _TRUTHS:
        raise InputError(
            "truth", f"'{truth}' is not one of {', '.join(_TRUTHS)}", "Correct it in the catalog"
        )
    folders = {name.partition("/")[0] for name in listing.files if "/" in name}
    top, film = "", _sort(listing, "", truth)
    if not film.frames and len(folders) == 1:
        top = f"{folders.pop()}/"
        film = _sort(listing, top, truth)
    if not film.frames:
        raise InputError(
            listing.root,
            "there is no sequence of frames, such as 01/t000.tif",
            "Give the folder or archive of one data set, with the folders 01, 02 and so on",
        )
    pairs, unlabelled = [], {}
    for number, name in film.frames.items():
        identifier = name.removeprefix(top).rpartition(".")[0]
        picture = SourceImage(listing.files[name])
        if number in film.labels:
            label = InstanceMask(SourceImage(listing.files[film.labels[number]]))
            pairs.append(Pair(identifier, picture, label, group=number[0], is_series=True))
        elif number[0] not in film.volumes:
            unlabelled[identifier] = picture
    refused = [*listing.refused, *film.refused, *_refuse_orphans(listing, film)]
    refused.sort(key=lambda error: natural_order(error.where))
    return Pairing(pairs, refused, unlabelled)


def _refuse_orphans(listing: FileListing, film: _Film) -> list[InputError]:
    """Return an error for each label without a frame."""
    return [
        InputError(
            listing.files[name],
            f"there is no frame {number} in the sequence {sequence}",
            "Add the frame, or move the label away",
        )
        for (sequence, number), name in film.labels.items()
        if (sequence, number) not in film.frames
    ]


def _sort(listing: FileListing, top: str, truth: str) -> _Film:
    """Tell frames from labels by their folders and names."""
    film = _Film()
    for name, file in listing.files.items():
        folder, _, last = name.removeprefix(top).rpartition("/")
        sequence = folder.removesuffix(f"_{truth}/SEG")
        if not sequence.isdecimal() or not is_image(name):
            continue
        is_frame = sequence == folder
        match = (_FRAME if is_frame else _LABEL).fullmatch(last)
        if match:
            number = (sequence, int(match[1]))
            other = (film.frames if is_frame else film.labels).setdefault(number, name)
            if other != name:
                film.refused.append(
                    InputError(file, f"{other} has the same number", "Remove one of them")
                )
        elif not is_frame and _SLICE_LABEL.fullmatch(last):
            film.volumes.add(sequence)
            film.refused.append(
                InputError(
                    file,
                    "it labels one slice of a 3D frame, and 3D frames are not supported",
                    "Export the slices and their labels, and use the layout `stacks`",
                )
            )
        else:
            expected = "t000.tif" if is_frame else "man_seg000.tif"
            film.refused.append(
                InputError(file, f"its name is not of the form {expected}", "Rename or remove it")
            )
    return film
