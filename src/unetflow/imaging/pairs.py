"""Which mask belongs to which image, when both lie in folders."""

import re
from dataclasses import dataclass
from pathlib import Path

from unetflow.imaging.errors import InputError
from unetflow.imaging.readers import READERS, is_image


@dataclass(frozen=True)
class Pair:
    """One image and the mask that belongs to it."""

    id: str
    image: Path
    mask: Path


@dataclass(frozen=True)
class Pairing:
    """The pairs of a data set in natural order, and the files that have no partner."""

    pairs: list[Pair]
    refused: list[InputError]


def find_pairs(
    images: Path,
    masks: Path,
    image_pattern: str | None = None,
    mask_pattern: str | None = None,
) -> Pairing:
    """Pair the images of one folder with the masks of another.

    Without patterns, a pair has the same path below its folder but for the ending. With a
    pattern, what its groups capture in the file's name must be equal on both sides.

    Args:
        images: Folder of images, searched with its subfolders.
        masks: Folder of masks, likewise.
        image_pattern: Regular expression with at least one group, searched in the image's name.
        mask_pattern: The same for masks.

    Returns:
        The pairs, and one error for each file that is left over.

    Raises:
        InputError: A folder is missing or holds no image, or a pattern is wrong.
    """
    image_files, other_images = _by_key(images, image_pattern, "image_pattern")
    mask_files, other_masks = _by_key(masks, mask_pattern, "mask_pattern")
    if images == masks:  # each pattern leaves out what the other one takes
        unmatched = set(other_images) & set(other_masks)
    else:
        unmatched = {*other_images, *other_masks}
    refused = [
        InputError(file, "its name does not match the pattern", "Correct the pattern, or rename it")
        for file in unmatched
    ]
    pairs = []
    for key, files in image_files.items():
        partners = mask_files.get(key, [])
        if len(files) > 1 or len(partners) > 1:
            refused.extend(_ambiguous(key, files, partners))
        elif not partners:
            refused.append(
                InputError(
                    files[0],
                    f"there is no mask '{key}' in {masks}",
                    "Add the mask, move the image away, or set the patterns that pair them",
                )
            )
        else:
            identifier = files[0].relative_to(images).with_suffix("").as_posix()
            pairs.append(Pair(identifier, files[0], partners[0]))
    for key in mask_files.keys() - image_files.keys():
        refused.extend(
            InputError(
                file,
                f"there is no image '{key}' in {images}",
                "Add the image, move the mask away, or set the patterns that pair them",
            )
            for file in mask_files[key]
        )
    pairs.sort(key=lambda pair: natural_order(pair.id))
    refused.sort(key=lambda error: natural_order(error.where))
    return Pairing(pairs, refused)


def list_images(folder: Path) -> list[Path]:
    """List the image files of a folder and its subfolders in natural order.

    Raises:
        InputError: The folder is missing or holds no image.
    """
    endings = ", ".join(READERS)
    if not folder.is_dir():
        raise InputError(folder, "there is no such folder", "Correct the path in the catalog")
    files = [
        path
        for path in folder.rglob("*")
        if path.is_file()
        and is_image(path)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not files:
        raise InputError(
            folder,
            f"the folder holds no image ({endings})",
            "Put images there, or correct the path in the catalog",
        )
    return sorted(files, key=lambda path: natural_order(path.relative_to(folder).as_posix()))


def natural_order(text: str) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key under which 2 comes before 10, and which tells 1 from 01."""
    parts = [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)
    ]
    return parts, text


def _by_key(
    folder: Path, pattern: str | None, parameter: str
) -> tuple[dict[str, list[Path]], list[Path]]:
    """Return the images of a folder by what pairs them, and those that the pattern leaves out."""
    expression = _compile(pattern, parameter) if pattern else None
    files: dict[str, list[Path]] = {}
    unmatched = []
    for path in list_images(folder):
        if expression is None:
            key = path.relative_to(folder).with_suffix("").as_posix()
        else:
            match = expression.search(path.name)
            if match is None:
                unmatched.append(path)
                continue
            key = "_".join(group or "" for group in match.groups())
        files.setdefault(key, []).append(path)
    if not files:
        raise InputError(
            folder,
            f"{parameter} '{pattern}' matches none of its files",
            f"Correct {parameter} in the catalog",
        )
    return files, unmatched


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


def _ambiguous(key: str, files: list[Path], partners: list[Path]) -> list[InputError]:
    names = ", ".join(path.name for path in [*files, *partners])
    return [
        InputError(
            file,
            f"'{key}' stands for several files: {names}",
            "Rename or remove all but one image and one mask",
        )
        for file in files
    ]
