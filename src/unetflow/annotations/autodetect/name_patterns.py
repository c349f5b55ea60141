"""Options with which the layouts `folders` and `stacks` pair given files."""

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
    """Yield options that may pair the files, simplest first; the caller tries them out.

    Args:
        pairs: The paths of images and of their masks.
    """
    if len(pairs) == 1:
        yield {"images": pairs[0][0], "masks": pairs[0][1]}
    sides = list(zip(*pairs, strict=True))
    images, masks = (posixpath.commonpath(map(posixpath.dirname, side)) for side in sides)
    names = [(posixpath.basename(image), posixpath.basename(mask)) for image, mask in pairs]
    in_names = _describe_names(names)
    if images != masks:
        yield _options(images, masks)
        yield from (
            _options(images, masks, *patterns) for patterns in (in_names, _NUMBERS) if patterns
        )
    elif in_names:
        yield _options(images, masks, *_exclude_each_other(in_names, names))
    top = posixpath.commonpath((images, masks)) if images and masks else ""
    within = [(_within(top, image), _within(top, mask)) for image, mask in pairs]
    folders = [(posixpath.dirname(image), posixpath.dirname(mask)) for image, mask in within]
    in_folders = _describe(folders) if all(map(all, folders)) else None
    for patterns in (in_names, _NUMBERS):
        if patterns and in_folders:
            image, mask = (f"^{f}/{n[1:]}" for f, n in zip(in_folders, patterns, strict=True))
            yield _options(top, top, *_exclude_each_other((image, mask), within))


def find_difference(one: str, other: str) -> tuple[str, str, str, str]:
    """Split two texts into their common start, what is different, and their common end.

    Words stay whole: "images" and "masks" share no "s".

    Returns:
        The common start, the middle of the first text, that of the other, the common end.
    """
    start = common_start([one, other])
    rest = (one[len(start) :], other[len(start) :])
    end = common_end(rest)
    middle = [text[: len(text) - len(end)] for text in rest]
    if all(text[:1].isalpha() for text in middle):
        start, word = _cut(r"[^\W\d_]*$", start)
        middle = [word + text for text in middle]
    if all(text[-1:].isalpha() for text in middle):
        end, word = _cut(r"^[^\W\d_]*", end)
        middle = [text + word for text in middle]
    return start, middle[0], middle[1], end


def common_start(texts: Sequence[str]) -> str:
    """Return the longest start that all texts share."""
    # All of them share what the first and the last one in alphabetical order share.
    same = takewhile(lambda pair: pair[0] == pair[1], zip(min(texts), max(texts), strict=False))
    return "".join(character for character, _ in same)


def common_end(texts: Sequence[str]) -> str:
    """Return the longest end that all texts share."""
    return common_start([text[::-1] for text in texts])[::-1]


def escape_pattern(text: str) -> str:
    """Return a regular expression for a text; unlike `re.escape`, leave spaces alone."""
    return re.sub(r"([.^$*+?{}\[\]\\|()])", r"\\\1", text)


def _cut(pattern: str, text: str) -> tuple[str, str]:
    """Return a text without what a pattern matches, and that part."""
    match = re.search(pattern, text)
    return (text[: match.start()] + text[match.end() :], match[0]) if match else (text, "")


def _within(folder: str, name: str) -> str:
    return name.removeprefix(folder).lstrip("/")


def _describe_names(names: Sequence[Names]) -> Names | None:
    """Return patterns with groups for what the names of each pair share; None without a rule."""
    split = [tuple(map(os.path.splitext, pair)) for pair in names]
    patterns = _describe([(image[0], mask[0]) for image, mask in split])
    if patterns is None:
        return None
    extensions = ({image[1] for image, _ in split}, {mask[1] for _, mask in split})
    image, mask = (
        f"^{pattern}{escape_pattern(found.pop())}$" if len(found) == 1 else f"^{pattern}\\."
        for pattern, found in zip(patterns, extensions, strict=True)
    )
    return image, mask


def _describe(texts: Sequence[Names]) -> Names | None:
    """Return patterns with groups for what the two sides share; None without a rule."""
    starts, ones, others, ends = zip(*(find_difference(*pair) for pair in texts), strict=True)
    if len({*zip(ones, others, strict=True)}) > 1:
        return None
    start, end = _generalise(starts), _generalise([text[::-1] for text in ends], backwards=True)
    return f"{start}{escape_pattern(ones[0])}{end}", f"{start}{escape_pattern(others[0])}{end}"


def _generalise(texts: Sequence[str], backwards: bool = False) -> str:
    """Return a pattern for all texts: their only value, or a group and their common end."""
    if len(set(texts)) == 1 and (len(texts) > 1 or not texts[0]):
        return escape_pattern(texts[0][::-1] if backwards else texts[0])
    end = common_end(texts)
    folders, signs = re.search(r"/.*$", end), re.search(r"[_\-. ]*$", end)
    fixed = next(match[0] for match in (folders, signs) if match)
    group = "(.+)" if all(len(text) > len(fixed) for text in texts) else "(.*)"
    return escape_pattern(fixed[::-1]) + group if backwards else group + escape_pattern(fixed)


def _exclude_each_other(patterns: Names, names: Sequence[Names]) -> Names:
    """Keep each pattern from matching what is on the other side."""
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
