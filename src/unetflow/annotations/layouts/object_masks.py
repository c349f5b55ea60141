"""The layouts `objects` and `cell_tracking`: mask files that separate the objects of one class."""

import re
from collections import defaultdict
from dataclasses import replace

from unetflow.annotations.raster import InstanceMask, ObjectMasks, SourceImage
from unetflow.annotations.records import Pair, Pairing, build_pairing, list_refused, without_suffix
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing
from unetflow.io.files import File
from unetflow.io.formats.readers import is_image

_TRUTHS = ("GT", "ST")
"""Gold truth is drawn by people, silver truth is computed from the participants' results."""
_FRAME = re.compile(r"t(\d{3,4})\.tif", re.IGNORECASE)
_LABEL = re.compile(r"man_seg(\d{3,4})\.tif", re.IGNORECASE)
_SLICE_LABEL = re.compile(r"man_seg_(\d{3,4})_(\d{3,4})\.tif", re.IGNORECASE)

Frames = dict[tuple[str, int], str]
"""Paths by the name of the sequence and the number of the frame."""


def find_object_masks(
    listing: FileListing, *, images: str = "images", masks: str = "masks"
) -> Pairing:
    """Find `<id>/images/*.png` and `<id>/masks/*.png`, as in the Data Science Bowl 2018.

    Options:
        images: Name of the folder with the one image.
        masks: Name of the folder with the objects' masks.
    """
    images, masks = images.strip("/"), masks.strip("/")
    if images == masks:
        problem = f"images and masks are both in folders called '{images}'"
        raise InputError("masks", problem, "Correct `images` or `masks` in the catalog")
    files = {n: file for n, file in listing.files.items() if split_name(n)[1] in (images, masks)}
    by_id: dict[str, dict[str, list[File]]] = defaultdict(lambda: {images: [], masks: []})
    for name in filter(is_image, files):
        identifier, folder = split_name(name)
        by_id[identifier][folder].append(files[name])
    root, pairs, unlabelled = listing.root, [], []
    refused = list_refused(replace(listing, files=files), {"."})
    for identifier, found in by_id.items():
        where = str(root / identifier / masks)
        if not found[images]:
            problem = f"there are masks, but no image in {identifier}/{images}"
            refused.append(InputError(where, problem, "Add the image, or remove the masks"))
        elif len(found[images]) > 1:
            problem = f"it holds {len(found[images])} images instead of one"
            fix = "Give each image a folder of its own"
            refused.append(InputError(root / identifier / images, problem, fix))
        elif found[masks]:
            annotation = ObjectMasks(tuple(found[masks]), where)
            pairs.append(Pair(identifier, SourceImage(found[images][0]), annotation))
        else:
            unlabelled.append((identifier, found[images][0]))
    if not any(found[images] for found in by_id.values()):
        problem = f"there is no folder <id>/{images} with an image in it"
        raise InputError(root, problem, "Correct `images` and `path` in the catalog")
    return build_pairing(pairs, unlabelled, refused)


def split_name(name: str) -> tuple[str, str]:
    """Return the id in a file's path and the name of its folder; "" without an id."""
    identifier, _, folder = name.rpartition("/")[0].rpartition("/")
    return identifier, folder if identifier else ""


def find_cell_tracking(listing: FileListing, *, truth: str = "GT") -> Pairing:
    """Find the frames `01/t000.tif` and their objects `01_GT/SEG/man_seg000.tif`.

    This is the format of the Cell Tracking Challenge; the data set's folder may be the only one in
    the root. The group of a pair is its sequence; frames without labels are unlabelled. Files under
    other names, labels without frame, and labels of single slices are refused; the folder `TRA` and
    other results are left out.

    Options:
        truth: "GT" (gold truth) or "ST" (silver truth).
    """
    if truth not in _TRUTHS:
        problem = f"'{truth}' is not one of {', '.join(_TRUTHS)}"
        raise InputError("truth", problem, "Correct it in the catalog")
    folders = {name.partition("/")[0] for name in listing.files if "/" in name}
    for top in ("", *(f"{folder}/" for folder in folders if len(folders) == 1)):
        frames, labels, volumes, refused = _sort_files(listing, top, truth)
        if frames:
            break
    else:
        problem = "there is no sequence of frames, such as 01/t000.tif"
        fix = "Give the folder or archive of one data set, with the folders 01, 02 and so on"
        raise InputError(listing.root, problem, fix)
    pairs, unlabelled = [], []
    for key, name in frames.items():
        identifier, file = without_suffix(name.removeprefix(top)), listing.files[name]
        if key in labels:
            label = InstanceMask(SourceImage(listing.files[labels[key]]))
            pairs.append(Pair(identifier, SourceImage(file), label, group=key[0], is_series=True))
        elif key[0] not in volumes:
            unlabelled.append((identifier, file))
    for sequence, number in labels.keys() - frames.keys():
        label_file = listing.files[labels[sequence, number]]
        problem = f"there is no frame {number} in the sequence {sequence}"
        refused.append(InputError(label_file, problem, "Add the frame, or move the label away"))
    return build_pairing(pairs, unlabelled, [*listing.refused, *refused])


def _sort_files(
    listing: FileListing, top: str, truth: str
) -> tuple[Frames, Frames, set[str], list[InputError]]:
    """Return frames, labels, sequences of volumes, and errors, of the files that `top` begins."""
    frames: Frames = {}
    labels: Frames = {}
    volumes, refused = set(), []
    for name, file in listing.files.items():
        folder, _, file_name = name.removeprefix(top).rpartition("/")
        sequence = folder.removesuffix(f"_{truth}/SEG")
        if not sequence.isdecimal() or not is_image(name):
            continue
        is_frame = sequence == folder
        if match := (_FRAME if is_frame else _LABEL).fullmatch(file_name):
            other = (frames if is_frame else labels).setdefault((sequence, int(match[1])), name)
            if other == name:
                continue
            problem, fix = f"{other} has the same number", "Remove one of them"
        elif not is_frame and _SLICE_LABEL.fullmatch(file_name):
            volumes.add(sequence)
            problem = "it labels one slice of a 3D frame, and 3D frames are not supported"
            fix = "Export the slices and their labels, and use the layout `stacks`"
        else:
            form = "t000.tif" if is_frame else "man_seg000.tif"
            problem, fix = f"its name is not of the form {form}", "Rename or remove it"
        refused.append(InputError(file, problem, fix))
    return frames, labels, volumes, refused
