"""The layout `folders`: images in one folder, masks in another, paired by their names."""

import re
from collections import Counter
from collections.abc import Collection, Mapping

from unetflow.annotations.paths import folder_prefix, refuse_unsupported_formats
from unetflow.annotations.raster import SemanticMask
from unetflow.annotations.records import Pair, Pairing, SourceImage, sort_errors
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing, compile_pattern, natural_order
from unetflow.io.formats.readers import READERS, is_image

_GROUP = r"Put brackets around the part that image and mask share, as in '(\d+)_training'"

FilesByKey = dict[str, list[str]]
"""Paths of files by the key that pairs them."""


def find_folder_pairs(
    listing: FileListing,
    *,
    images: str = "images",
    masks: str = "masks",
    image_pattern: str | None = None,
    mask_pattern: str | None = None,
    regions: str | None = None,
    region_pattern: str | None = None,
) -> Pairing:
    """Pair the images of one folder with the masks of another.

    Without patterns, the files of a pair have the same path in their folders except for the
    extension. With a pattern, what its groups capture must be equal on both sides. A pattern with
    a slash is searched in the path within the folder, any other one only in the file's name.

    Args:
        listing: The files.
        images: Folder of images, searched with its subfolders.
        masks: Folder of masks, likewise; it may be the same one. If one folder lies in the other,
            the outer one is read without the inner one.
        image_pattern: Regular expression with at least one group.
        mask_pattern: The same for masks.
        regions: Folder of masks that are 0 where pixels must not count, likewise.
        region_pattern: The same for regions.

    Returns:
        The pairs, and one error for each file that is left over.

    Raises:
        InputError: A folder is missing or holds no image, or a pattern is wrong.
    """
    places = {"image": images, "mask": masks} | ({"region": regions} if regions else {})
    patterns = {"image": image_pattern, "mask": mask_pattern, "region": region_pattern}
    for place in places.values():
        listing.within(place)
    found = pair_files(listing, places, patterns)
    unsupported = refuse_unsupported_formats(listing, places.values())
    return Pairing(found.pairs, sort_errors([*listing.refused, *found.refused, *unsupported]))


def pair_files(
    listing: FileListing, places: Mapping[str, str], patterns: Mapping[str, str | None]
) -> Pairing:
    """Pair images and masks, and regions if there are any, by their names.

    Args:
        listing: The files.
        places: Folder of each kind, "image", "mask" and perhaps "region", or a single file.
        patterns: Pattern of each kind.

    Returns:
        The pairs in natural order, and an error for each file that is left over.
    """
    image, mask = places["image"], places["mask"]
    is_same = folder_prefix(image) == folder_prefix(mask)
    if is_same and (patterns["image"] == patterns["mask"] or image in listing.files):
        problem = f"images and masks are both '{image}', and nothing tells which are which"
        fix = "Give two places, or patterns as in '^(.+)_img' and '^(.+)_mask'"
        raise InputError("masks", problem, fix)
    keys: dict[str, FilesByKey] = {}
    unmatched: set[str] = set()
    for kind, place in places.items():
        keys[kind], others = group_by_key(
            listing, place, patterns[kind], f"{kind}_pattern", places.values()
        )
        unmatched |= others
    # In one folder each pattern leaves out what the others match.
    counts = Counter(name for found in keys.values() for names in found.values() for name in names)
    refused = [
        InputError(
            listing.files[name],
            "its name does not match the pattern",
            "Correct the pattern, or rename it",
        )
        for name in unmatched - counts.keys()
    ]
    shared = {name for name, count in counts.items() if count > 1}
    refused += [
        InputError(
            listing.files[name],
            "more than one pattern matches it",
            "Let the patterns exclude each other, as '^(?!.+_mask)(.+)' and '^(.+)_mask' do",
        )
        for name in shared
    ]
    for kind, found in keys.items() if shared else ():
        kept = {key: [name for name in names if name not in shared] for key, names in found.items()}
        keys[kind] = {key: names for key, names in kept.items() if names}
    if image in listing.files and mask in listing.files:
        keys["mask"] = {key: [mask] for key in keys["image"]}
    pairs, left_over = _pair_by_key(listing, _prefix(listing, image), keys)
    return Pairing(pairs, [*refused, *left_over])


def group_by_key(
    listing: FileListing,
    place: str,
    pattern: str | None,
    parameter: str,
    places: Collection[str] = (),
) -> tuple[FilesByKey, set[str]]:
    """Group the images of a folder by the key that pairs them.

    Args:
        listing: The files.
        place: The folder, or a single file.
        pattern: A regular expression with a group, or None.
        parameter: The pattern's name, for error messages.
        places: Folders and files that are left out where they lie in the folder.

    Returns:
        The paths of the images by their keys, and the paths that the pattern does not match.

    Raises:
        InputError: There is no image in the folder, or the pattern is wrong or matches none.
    """
    expression = compile_pattern(pattern, parameter, _GROUP) if pattern else None
    prefix = _prefix(listing, place)
    names = [place] if place in listing.files else [prefix + n for n in listing.within(place)]
    inner = tuple(p for p in map(folder_prefix, places) if p.startswith(prefix) and p != prefix)
    keys: FilesByKey = {}
    unmatched = set()
    for name in names:
        if not is_image(name) or name.startswith(inner) or (name != place and name in places):
            continue
        key = _find_key(name.removeprefix(prefix), expression)
        if key is None:
            unmatched.add(name)
        else:
            keys.setdefault(key, []).append(name)
    if not keys and unmatched:
        problem = f"{parameter} '{pattern}' matches none of its files"
        raise InputError(listing.root / place, problem, f"Correct {parameter} in the catalog")
    if not keys:
        problem = f"the folder holds no image ({', '.join(READERS)})"
        fix = "Put images there, or correct the path in the catalog"
        raise InputError(listing.root / place, problem, fix)
    return keys, unmatched


def _prefix(listing: FileListing, place: str) -> str:
    """Return the common start of the paths in a folder, or in the folder of a single file."""
    return folder_prefix(place.rpartition("/")[0] if place in listing.files else place)


def _find_key(path: str, expression: re.Pattern[str] | None) -> str | None:
    """Return the key of a file by its path within the folder; None where nothing matches."""
    if expression is None:
        return path.rpartition(".")[0]
    match = expression.search(path if "/" in expression.pattern else path.rpartition("/")[2])
    return None if match is None else "/".join(group or "" for group in match.groups())


def _pair_by_key(
    listing: FileListing, prefix: str, keys: Mapping[str, FilesByKey]
) -> tuple[list[Pair], list[InputError]]:
    """Pair files with equal keys; return an error for each one without partner or with several.

    The ids of the pairs leave out the common start of the images' paths, `prefix`.
    """
    files, pairs, refused = listing.files, [], []
    for key, images in keys["image"].items():
        masks, regions = keys["mask"].get(key, []), keys.get("region", {}).get(key, [])
        if len(images) > 1 or len(masks) > 1:
            listed = ", ".join(name.rpartition("/")[2] for name in [*images, *masks])
            problem = f"several files have the key '{key}': {listed}"
            fix = "Rename or remove all but one image and one mask"
        elif not masks:
            problem = f"there is no mask '{key}'"
            fix = "Add the mask, move the image away, or set the patterns that pair them"
        elif "region" in keys and len(regions) != 1:
            problem = f"{'several regions match' if regions else 'no region matches'} it"
            fix = "Give it one region file"
        else:
            identifier = images[0].removeprefix(prefix).rpartition(".")[0]
            annotation = SemanticMask(SourceImage(files[masks[0]]))
            region = files[regions[0]] if regions else None
            pairs.append(Pair(identifier, SourceImage(files[images[0]]), annotation, region))
            continue
        refused += [InputError(files[name], problem, fix) for name in images]
    refused += [
        InputError(
            files[name],
            f"there is no image '{key}'",
            f"Add the image, move the {kind} away, or set the patterns that pair them",
        )
        for kind in keys.keys() - {"image"}
        for key in keys[kind].keys() - keys["image"].keys()
        for name in keys[kind][key]
    ]
    return sorted(pairs, key=lambda pair: natural_order(pair.id)), refused
