"""The options that make the layouts `folders` and `stacks` pair given files."""

import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

Names = tuple[str, str]
"""The names of an image and of its mask."""

_NUMBERS = (r"^\D*(\d+)", r"^\D*(\d+)")


def propose_options(pairs: Sequence[Names]) -> Iterator[dict[str, Any]]:
    """Yield options that may pair the files, the plainest first.

    None of them is sure to: a caller tries them out.

    Args:
        pairs: The paths of images and of their masks.
    """
    if len(pairs) == 1:
        yield dict(zip(("images", "masks"), pairs[0], strict=True))
    folders = [posixpath.commonpath([_split(pair[i])[0] for pair in pairs]) for i in (0, 1)]
    names: list[Names] = [(_split(image)[1], _split(mask)[1]) for image, mask in pairs]
    in_names = _name_patterns(names)
    images, masks = folders
    if images != masks:
        yield _options(images, masks)
        yield from (
            _options(images, masks, *patterns) for patterns in (in_names, _NUMBERS) if patterns
        )
    elif in_names:
        yield _options(images, masks, *_exclude_each_other(in_names, names))
    top = posixpath.commonpath(folders) if all(folders) else ""
    below: list[Names] = [
        (image.removeprefix(top).lstrip("/"), mask.removeprefix(top).lstrip("/"))
        for image, mask in pairs
    ]
    in_folders = _folder_patterns([(_split(image)[0], _split(mask)[0]) for image, mask in below])
    for patterns in (in_names, _NUMBERS):
        if patterns and in_folders:
            image, mask = (f"^{i}/{n[1:]}" for i, n in zip(in_folders, patterns, strict=True))
            yield _options(top, top, *_exclude_each_other((image, mask), below))


def find_difference(one: str, other: str) -> tuple[str, str, str, str]:
    """Return what two texts begin with alike, what is different, and what they end with alike.

    Words stay whole: "images" and "masks" share no "s".

    Returns:
        The common start, the middle of the first one, that of the other one, the common end.
    """
    start = common_prefix([one, other])
    rest = (one[len(start) :], other[len(start) :])
    end = common_prefix([rest[0][::-1], rest[1][::-1]])[::-1]
    middle = [text[: len(text) - len(end)] for text in rest]
    if all(text[:1].isalpha() for text in middle):
        word = re.search(r"[^\W\d_]*$", start)
        cut = word.start() if word else len(start)
        start, middle = start[:cut], [start[cut:] + text for text in middle]
    if all(text[-1:].isalpha() for text in middle):
        word = re.match(r"[^\W\d_]*", end)
        cut = word.end() if word else 0
        end, middle = end[cut:], [text + end[:cut] for text in middle]
    return start, middle[0], middle[1], end


def common_prefix(texts: Sequence[str]) -> str:
    """Return what all texts begin with."""
    # All of them share what the first and the last one in alphabetical order share.
    first, last = min(texts), max(texts)
    return first[
        : sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
    ]


def _name_patterns(names: Sequence[Names]) -> Names | None:
    stems = [(os.path.splitext(image)[0], os.path.splitext(mask)[0]) for image, mask in names]
    patterns = _describe(stems)
    if patterns is None:
        return None
    endings = [{os.path.splitext(pair[i])[1] for pair in names} for i in (0, 1)]
    finished = [
        f"^{pattern}{escape_pattern(found.pop())}$" if len(found) == 1 else f"^{pattern}\\."
        for pattern, found in zip(patterns, endings, strict=True)
    ]
    return finished[0], finished[1]


def _folder_patterns(folders: Sequence[Names]) -> Names | None:
    return _describe(folders) if all(all(pair) for pair in folders) else None


def _describe(texts: Sequence[Names]) -> Names | None:
    """Return expressions with groups for what the two sides share; None without such a rule."""
    differences = [find_difference(*pair) for pair in texts]
    middles = {(one, other) for _, one, other, _ in differences}
    if len(middles) > 1:
        return None
    starts, ends = [d[0] for d in differences], [d[3] for d in differences]
    start, end = _generalise(starts), _generalise([text[::-1] for text in ends], backwards=True)
    one, other = (f"{start}{escape_pattern(middle)}{end}" for middle in middles.pop())
    return one, other


def _generalise(texts: list[str], backwards: bool = False) -> str:
    """Return a text that all are, or else a group and the folders or signs that all end with."""
    if len(set(texts)) == 1 and (len(texts) > 1 or not texts[0]):
        return escape_pattern(texts[0][::-1] if backwards else texts[0])
    end = common_prefix([text[::-1] for text in texts])[::-1]
    folders, signs = re.search(r"/.*$", end), re.search(r"[_\-. ]*$", end)
    fixed = next(match[0] for match in (folders, signs) if match)
    group = "(.+)" if all(len(text) > len(fixed) for text in texts) else "(.*)"
    return escape_pattern(fixed[::-1]) + group if backwards else group + escape_pattern(fixed)


def _exclude_each_other(patterns: Names, names: Sequence[Names]) -> Names:
    """Let neither pattern match what is on the other side."""
    image, mask = patterns
    images_match = any(re.search(mask, name) for name, _ in names)
    masks_match = any(re.search(image, name) for _, name in names)
    ungrouped = [re.sub(r"\((\.[*+]|\\d\+)\)", r"\1", pattern[1:]) for pattern in patterns]
    return (
        f"^(?!{ungrouped[1]}){image[1:]}" if masks_match else image,
        f"^(?!{ungrouped[0]}){mask[1:]}" if images_match else mask,
    )


def _options(
    images: str, masks: str, image_pattern: str | None = None, mask_pattern: str | None = None
) -> dict[str, Any]:
    options = {"images": images or ".", "masks": masks or "."}
    if image_pattern and mask_pattern:
        options |= {"image_pattern": image_pattern, "mask_pattern": mask_pattern}
    return options


def escape_pattern(text: str) -> str:
    """Return an expression for a text; unlike `re.escape`, leave spaces alone."""
    return re.sub(r"([.^$*+?{}\[\]\\|()])", r"\\\1", text)


def _split(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder, name
