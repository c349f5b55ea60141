"""The layout `cell_tracking`: image sequences in the format of the Cell Tracking Challenge."""

import re
from dataclasses import dataclass, field

from unetflow.annotations.raster import InstanceMask
from unetflow.annotations.records import Pair, Pairing, SourceImage, build_pairing
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing
from unetflow.io.formats.readers import is_image

_TRUTHS = ("GT", "ST")
"""Gold truth is drawn by people, silver truth is computed from the participants' results."""
_FRAME = re.compile(r"t(\d{3,4})\.tif", re.IGNORECASE)
_LABEL = re.compile(r"man_seg(\d{3,4})\.tif", re.IGNORECASE)
_SLICE_LABEL = re.compile(r"man_seg_(\d{3,4})_(\d{3,4})\.tif", re.IGNORECASE)

FrameKey = tuple[str, int]
"""The name of the sequence and the number of the frame."""


@dataclass
class _Sequences:
    """The files of all sequences."""

    frames: dict[FrameKey, str] = field(default_factory=dict)
    labels: dict[FrameKey, str] = field(default_factory=dict)
    volumes: set[str] = field(default_factory=set)
    refused: list[InputError] = field(default_factory=list)


def find_cell_tracking(listing: FileListing, *, truth: str = "GT") -> Pairing:
    """Find the frames `01/t000.tif` and their objects `01_GT/SEG/man_seg000.tif`.

    Args:
        listing: The files of a data set, or of a folder that holds only the data set's folder.
        truth: "GT" (gold truth) or "ST" (silver truth).

    Returns:
        A pair for each labelled frame, with its sequence as group; the other frames are
        unlabelled. Files under other names, labels without frame, and labels of single slices
        are refused; the folder `TRA` and other results are left out.

    Raises:
        InputError: `truth` is neither, or there is no sequence.
    """
    if truth not in _TRUTHS:
        problem = f"'{truth}' is not one of {', '.join(_TRUTHS)}"
        raise InputError("truth", problem, "Correct it in the catalog")
    folders = {name.partition("/")[0] for name in listing.files if "/" in name}
    top, found = "", _sort_files(listing, "", truth)
    if not found.frames and len(folders) == 1:
        top = f"{folders.pop()}/"
        found = _sort_files(listing, top, truth)
    if not found.frames:
        problem = "there is no sequence of frames, such as 01/t000.tif"
        fix = "Give the folder or archive of one data set, with the folders 01, 02 and so on"
        raise InputError(listing.root, problem, fix)
    pairs, unlabelled = [], []
    for key, name in found.frames.items():
        identifier = name.removeprefix(top).rpartition(".")[0]
        file = listing.files[name]
        if key in found.labels:
            label = InstanceMask(SourceImage(listing.files[found.labels[key]]))
            pairs.append(Pair(identifier, SourceImage(file), label, group=key[0], is_series=True))
        elif key[0] not in found.volumes:
            unlabelled.append((identifier, file))
    orphans = [
        InputError(
            listing.files[name],
            f"there is no frame {number} in the sequence {sequence}",
            "Add the frame, or move the label away",
        )
        for (sequence, number), name in found.labels.items()
        if (sequence, number) not in found.frames
    ]
    return build_pairing(pairs, unlabelled, [*listing.refused, *found.refused, *orphans])


def _sort_files(listing: FileListing, top: str, truth: str) -> _Sequences:
    """Sort files into frames and labels by their folders and names."""
    found = _Sequences()
    for name, file in listing.files.items():
        folder, _, file_name = name.removeprefix(top).rpartition("/")
        sequence = folder.removesuffix(f"_{truth}/SEG")
        if not sequence.isdecimal() or not is_image(name):
            continue
        is_frame = sequence == folder
        if match := (_FRAME if is_frame else _LABEL).fullmatch(file_name):
            files = found.frames if is_frame else found.labels
            other = files.setdefault((sequence, int(match[1])), name)
            if other == name:
                continue
            problem, fix = f"{other} has the same number", "Remove one of them"
        elif not is_frame and _SLICE_LABEL.fullmatch(file_name):
            found.volumes.add(sequence)
            problem = "it labels one slice of a 3D frame, and 3D frames are not supported"
            fix = "Export the slices and their labels, and use the layout `stacks`"
        else:
            form = "t000.tif" if is_frame else "man_seg000.tif"
            problem, fix = f"its name is not of the form {form}", "Rename or remove it"
        found.refused.append(InputError(file, problem, fix))
    return found
