"""The layout `folders`: images in one folder, masks in another, paired by their names."""

import re
from collections.abc import Callable, Iterable

from unetflow.imaging.errors import InputError
from unetflow.imaging.files import File
from unetflow.imaging.readers import READERS, is_image
from unetflow.imaging.sources.annotations import MaskImage
from unetflow.imaging.sources.records import Annotation, Pair, Pairing, Picture
from unetflow.imaging.trees import FileTree, natural_order

_FOREIGN = (
    ".czi",
    ".dcm",
    ".heic",
    ".jp2",
    ".lif",
    ".lsm",
    ".nd2",
    ".npy",
    ".svs",
    ".vsi",
    ".webp",
)
"""Endings of images that no reader knows; they are not passed over in silence."""

Keyed = dict[str, list[str]]


def find_folder_pairs(
    tree: FileTree,
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
    pattern, what its groups capture in the file's name must be equal on both sides.

    Args:
        tree: The files.
        images: Folder of images, searched with its subfolders.
        masks: Folder of masks, likewise; it may be the same one.
        image_pattern: Regular expression with at least one group, searched in the image's name.
        mask_pattern: The same for masks.
        regions: Folder of masks that are 0 where pixels shall not count.
        region_pattern: The same for regions.

    Returns:
        The pairs, and one error for each file that is left over.

    Raises:
        InputError: A folder is missing or holds no image, or a pattern is wrong.
    """
    if _prefix(images) == _prefix(masks) and image_pattern == mask_pattern:
        raise InputError(
            tree.root / images,
            "it is given for images and for masks, and nothing tells which are which",
            "Give `image_pattern` and `mask_pattern`, as in '^(.+)_img' and '^(.+)_mask'",
        )
    nested = [folder for folder in (masks, regions) if folder]
    image_keys, other_images = key_files(tree, images, image_pattern, "image_pattern", nested)
    mask_keys, other_masks = key_files(tree, masks, mask_pattern, "mask_pattern")
    region_keys = key_files(tree, regions, region_pattern, "region_pattern")[0] if regions else None
    # In one folder each pattern leaves out what the other one takes.
    together = _prefix(images) == _prefix(masks)
    unmatched = other_images & other_masks if together else other_images | other_masks
    refused = [
        InputError(
            tree.files[name],
            "its name does not match the pattern",
            "Correct the pattern, or rename it",
        )
        for name in unmatched
    ]
    pairs, left_over = join_keys(
        tree, images, image_keys, mask_keys, lambda file: MaskImage(Picture(file))
    )
    pairs = list(_with_regions(pairs, image_keys, region_keys, tree, refused))
    refused += [*tree.refused, *left_over, *refuse_foreign(tree, {images, masks})]
    refused.sort(key=lambda error: natural_order(error.where))
    return Pairing(pairs, refused)


def key_files(
    tree: FileTree,
    folder: str,
    pattern: str | None,
    parameter: str,
    without: Iterable[str] = (),
) -> tuple[Keyed, set[str]]:
    """Sort the images of a folder by what pairs them.

    Args:
        tree: The files.
        folder: The folder.
        pattern: A regular expression with a group, or None.
        parameter: The pattern's name, for error messages.
        without: Folders that are left out where they lie below it.

    Returns:
        The names in the tree by their keys, and the names that the pattern leaves out.

    Raises:
        InputError: There is no image in the folder, or the pattern is wrong or matches none.
    """
    expression = _compile(pattern, parameter) if pattern else None
    prefix = _prefix(folder)
    below_it = (_prefix(other) for other in without)
    skipped = tuple(p for p in below_it if p.startswith(prefix) and p != prefix)
    keys: Keyed = {}
    unmatched = set()
    for below in tree.below(folder):
        name = prefix + below
        if not is_image(name) or name.startswith(skipped):
            continue
        if expression is None:
            key = below.rpartition(".")[0]
        else:
            match = expression.search(name.rpartition("/")[2])
            if match is None:
                unmatched.add(name)
                continue
            key = "_".join(group or "" for group in match.groups())
        keys.setdefault(key, []).append(name)
    if not keys and unmatched:
        raise InputError(
            tree.root / folder,
            f"{parameter} '{pattern}' matches none of its files",
            f"Correct {parameter} in the catalog",
        )
    if not keys:
        raise InputError(
            tree.root / folder,
            f"the folder holds no image ({', '.join(READERS)})",
            "Put images there, or correct the path in the catalog",
        )
    return keys, unmatched


def join_keys(
    tree: FileTree,
    images: str,
    image_keys: Keyed,
    mask_keys: Keyed,
    annotate: Callable[[File], Annotation],
) -> tuple[list[Pair], list[InputError]]:
    """Make pairs of images and masks with equal keys, in natural order.

    Args:
        tree: The files.
        images: The images' folder, which the ids leave out.
        image_keys: The images by key.
        mask_keys: The masks by key.
        annotate: Makes an annotation of a mask's file.

    Returns:
        The pairs, and an error for each file that has no partner or several.
    """
    prefix = _prefix(images)
    pairs, refused = [], []
    for key, names in image_keys.items():
        partners = mask_keys.get(key, [])
        if len(names) > 1 or len(partners) > 1:
            refused += _refuse_ambiguous(tree, key, names, partners)
        elif not partners:
            refused.append(
                InputError(
                    tree.files[names[0]],
                    f"there is no mask '{key}'",
                    "Add the mask, move the image away, or set the patterns that pair them",
                )
            )
        else:
            identifier = names[0].removeprefix(prefix).rpartition(".")[0]
            image, mask = tree.files[names[0]], tree.files[partners[0]]
            pairs.append(Pair(identifier, Picture(image), annotate(mask)))
    refused += [
        InputError(
            tree.files[name],
            f"there is no image '{key}'",
            "Add the image, move the mask away, or set the patterns that pair them",
        )
        for key in mask_keys.keys() - image_keys.keys()
        for name in mask_keys[key]
    ]
    pairs.sort(key=lambda pair: natural_order(pair.id))
    return pairs, refused


def refuse_foreign(tree: FileTree, folders: Iterable[str]) -> list[InputError]:
    """Return an error for each image in the folders whose format no reader knows."""
    prefixes = tuple(_prefix(folder) for folder in folders)
    return [
        InputError(file, f"no reader knows {file.suffix} files", "Convert it to TIFF")
        for name, file in tree.files.items()
        if name.startswith(prefixes) and name.lower().endswith(_FOREIGN)
    ]


def _prefix(folder: str) -> str:
    """Return what the paths of files below a folder begin with."""
    return "" if folder in (".", "") else folder.strip("/") + "/"


def _with_regions(
    pairs: list[Pair],
    image_keys: Keyed,
    region_keys: Keyed | None,
    tree: FileTree,
    refused: list[InputError],
) -> Iterable[Pair]:
    """Give each pair its region; a pair without one is refused."""
    key_of = {str(tree.files[name]): key for key, names in image_keys.items() for name in names}
    for pair in pairs:
        if region_keys is None:
            yield pair
            continue
        found = region_keys.get(key_of[str(pair.image.file)], [])
        if len(found) == 1:
            yield Pair(pair.id, pair.image, pair.annotation, tree.files[found[0]])
        else:
            problem = "several regions" if found else "no region"
            refused.append(
                InputError(pair.image.file, f"{problem} match it", "Give it one region file")
            )


def _compile(pattern: str, parameter: str) -> re.Pattern[str]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise InputError(
            parameter, f"'{pattern}' is no regular expression ({error})", "Correct it"
        ) from error
    if not expression.groups:
        raise InputError(
            parameter,
            f"'{pattern}' has no group",
            "Put parentheses around the part that image and mask share, as in '(\\d+)_training'",
        )
    return expression


def _refuse_ambiguous(
    tree: FileTree, key: str, names: list[str], partners: list[str]
) -> list[InputError]:
    listed = ", ".join(name.rpartition("/")[2] for name in [*names, *partners])
    return [
        InputError(
            tree.files[name],
            f"'{key}' stands for several files: {listed}",
            "Rename or remove all but one image and one mask",
        )
        for name in names
    ]
