"""The layout `folders`: images in one folder, masks in another, paired by their names."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace

from unetflow.annotations.paths import folder_prefix, refuse_unsupported_formats
from unetflow.annotations.raster import SemanticMask
from unetflow.annotations.records import Pair, Pairing, SourceImage
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing, compile_pattern, natural_order
from unetflow.io.formats.registry import READERS, is_image

_GROUP = r"Put brackets around the part that image and mask share, as in '(\d+)_training'"

FilesByKey = dict[str, list[str]]


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

    Without patterns, a pair has the same path below its folder but for the ending. With a
    pattern, what its groups capture must be equal on both sides. A pattern with a slash is
    searched in the path below the folder, any other one in the file's name alone.

    Args:
        listing: The files.
        images: Folder of images, searched with its subfolders.
        masks: Folder of masks, likewise; it may be the same one. Of folders that lie one in the
            other, the outer one is taken without the inner one.
        image_pattern: Regular expression with at least one group.
        mask_pattern: The same for masks.
        regions: Folder of masks that are 0 where pixels shall not count, likewise.
        region_pattern: The same for regions.

    Returns:
        The pairs, and one error for each file that is left over.

    Raises:
        InputError: A folder is missing or holds no image, or a pattern is wrong.
    """
    places = {"image": images, "mask": masks} | ({"region": regions} if regions else {})
    patterns = {"image": image_pattern, "mask": mask_pattern, "region": region_pattern}
    _refuse_same_place(listing, places, patterns)
    keyed = {
        kind: group_by_key(listing, folder, patterns[kind], f"{kind}_pattern", places.values())
        for kind, folder in places.items()
    }
    keys = {kind: found for kind, (found, _) in keyed.items()}
    refused = [*_refuse_unmatched(listing, keyed.values()), *_refuse_shared(listing, keys)]
    pairs, left_over = pair_by_key(listing, images, keys["image"], keys["mask"])
    if regions:
        pairs, without_region = _join_regions(listing, pairs, keys["image"], keys["region"])
        refused += without_region
    refused += [*listing.refused, *left_over, *refuse_unsupported_formats(listing, places.values())]
    refused.sort(key=lambda error: natural_order(error.where))
    return Pairing(pairs, refused)


def _refuse_same_place(
    listing: FileListing, places: dict[str, str], patterns: dict[str, str | None]
) -> None:
    """Stop where images and masks are the same files."""
    same_folder = folder_prefix(places["image"]) == folder_prefix(places["mask"])
    if same_folder and patterns["image"] == patterns["mask"]:
        raise InputError(
            listing.root / places["image"],
            "it is given for images and for masks, and nothing tells which are which",
            "Give `image_pattern` and `mask_pattern`, as in '^(.+)_img' and '^(.+)_mask'",
        )


def group_by_key(
    listing: FileListing,
    folder: str,
    pattern: str | None,
    parameter: str,
    without: Iterable[str] = (),
) -> tuple[FilesByKey, set[str]]:
    """Sort the images of a folder by what pairs them.

    Args:
        listing: The files.
        folder: The folder.
        pattern: A regular expression with a group, or None.
        parameter: The pattern's name, for error messages.
        without: Folders that are left out where they lie in it.

    Returns:
        The names in the listing by their keys, and the names that the pattern leaves out.

    Raises:
        InputError: There is no image in the folder, or the pattern is wrong or matches none.
    """
    expression = compile_pattern(pattern, parameter, _GROUP) if pattern else None
    prefix = folder_prefix(folder)
    below_it = (folder_prefix(other) for other in without)
    skipped = tuple(p for p in below_it if p.startswith(prefix) and p != prefix)
    keys: FilesByKey = {}
    unmatched = set()
    for below in listing.within(folder):
        name = prefix + below
        if not is_image(name) or name.startswith(skipped):
            continue
        key = _key_of(below, expression)
        if key is None:
            unmatched.add(name)
        else:
            keys.setdefault(key, []).append(name)
    if not keys and unmatched:
        problem = f"{parameter} '{pattern}' matches none of its files"
        raise InputError(listing.root / folder, problem, f"Correct {parameter} in the catalog")
    if not keys:
        raise InputError(
            listing.root / folder,
            f"the folder holds no image ({', '.join(READERS)})",
            "Put images there, or correct the path in the catalog",
        )
    return keys, unmatched


def _key_of(below: str, expression: re.Pattern[str] | None) -> str | None:
    """Return what pairs a file, by its path below the folder; None where nothing matches."""
    if expression is None:
        return below.rpartition(".")[0]
    in_path = "/" in expression.pattern
    match = expression.search(below if in_path else below.rpartition("/")[2])
    return None if match is None else "/".join(group or "" for group in match.groups())


def pair_by_key(
    listing: FileListing, images: str, image_keys: FilesByKey, mask_keys: FilesByKey
) -> tuple[list[Pair], list[InputError]]:
    """Make pairs of images and masks with equal keys, in natural order.

    Args:
        listing: The files.
        images: The images' folder, which the ids leave out.
        image_keys: The images by key.
        mask_keys: The masks by key.

    Returns:
        The pairs, and an error for each file that has no partner or several.
    """
    prefix = folder_prefix(images)
    pairs, refused = [], []
    for key, names in image_keys.items():
        partners = mask_keys.get(key, [])
        if len(names) > 1 or len(partners) > 1:
            refused += _refuse_ambiguous(listing, key, names, partners)
        elif not partners:
            refused.append(
                InputError(
                    listing.files[names[0]],
                    f"there is no mask '{key}'",
                    "Add the mask, move the image away, or set the patterns that pair them",
                )
            )
        else:
            identifier = names[0].removeprefix(prefix).rpartition(".")[0]
            image, mask = listing.files[names[0]], listing.files[partners[0]]
            pairs.append(Pair(identifier, SourceImage(image), SemanticMask(SourceImage(mask))))
    refused += [
        InputError(
            listing.files[name],
            f"there is no image '{key}'",
            "Add the image, move the mask away, or set the patterns that pair them",
        )
        for key in mask_keys.keys() - image_keys.keys()
        for name in mask_keys[key]
    ]
    pairs.sort(key=lambda pair: natural_order(pair.id))
    return pairs, refused


def _refuse_unmatched(
    listing: FileListing, keyed: Collection[tuple[FilesByKey, set[str]]]
) -> list[InputError]:
    """Return an error for each file that no pattern takes.

    In one folder each pattern leaves out what the others take.
    """
    taken = {name for keys, _ in keyed for names in keys.values() for name in names}
    left_out = {name for _, unmatched in keyed for name in unmatched}
    return [
        InputError(
            listing.files[name],
            "its name does not match the pattern",
            "Correct the pattern, or rename it",
        )
        for name in left_out - taken
    ]


def _refuse_shared(listing: FileListing, keys: dict[str, FilesByKey]) -> list[InputError]:
    """Take away the files that two patterns match, and return an error for each of them."""
    count = Counter(name for found in keys.values() for names in found.values() for name in names)
    shared = {name for name, times in count.items() if times > 1}
    for kind, found in keys.items() if shared else ():
        kept = {key: [n for n in names if n not in shared] for key, names in found.items()}
        keys[kind] = {key: names for key, names in kept.items() if names}
    return [
        InputError(
            listing.files[name],
            "more than one pattern matches it",
            "Let the patterns exclude each other, as '^(?!.+_mask)(.+)' and '^(.+)_mask' do",
        )
        for name in shared
    ]


def _join_regions(
    listing: FileListing, pairs: list[Pair], image_keys: FilesByKey, region_keys: FilesByKey
) -> tuple[list[Pair], list[InputError]]:
    """Give each pair its region; a pair without one is refused, and a region without an image."""
    key_of = {str(listing.files[name]): key for key, names in image_keys.items() for name in names}
    with_region, refused = [], []
    for pair in pairs:
        found = region_keys.get(key_of[str(pair.image.file)], [])
        if len(found) == 1:
            with_region.append(replace(pair, region=listing.files[found[0]]))
        else:
            problem = "several regions match" if found else "no region matches"
            refused.append(InputError(pair.image.file, f"{problem} it", "Give it one region file"))
    refused += [
        InputError(
            listing.files[name],
            f"there is no image '{key}'",
            "Add the image, or move the region away",
        )
        for key in region_keys.keys() - image_keys.keys()
        for name in region_keys[key]
    ]
    return with_region, refused


def _refuse_ambiguous(
    listing: FileListing, key: str, names: list[str], partners: list[str]
) -> list[InputError]:
    listed = ", ".join(name.rpartition("/")[2] for name in [*names, *partners])
    return [
        InputError(
            listing.files[name],
            f"'{key}' stands for several files: {listed}",
            "Rename or remove all but one image and one mask",
        )
        for name in names
    ]
