"""The layouts `folders` and `stacks`: images in one folder, masks in another, paired by names.

The files of `folders` hold one image each, those of `stacks` many pages.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace

from unetflow.annotations.raster import InstanceMask, SemanticMask, SourceImage
from unetflow.annotations.records import Pair, Pairing, folder_prefix, list_refused, sort_errors
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing, compile_pattern, natural_order
from unetflow.io.files import File
from unetflow.io.formats.readers import READERS, is_image
from unetflow.io.formats.tiff import count_pages

_GROUP = r"Put brackets around the part that image and mask share, as in '(\d+)_training'"
_MIN_DIGITS = 3


def find_folder_pairs(
    listing: FileListing,
    *,
    images: str = "images",
    masks: str = "masks",
    image_pattern: str | None = None,
    mask_pattern: str | None = None,
    regions: str | None = None,
    region_pattern: str | None = None,
    instances: bool = False,
) -> Pairing:
    """Pair the images of one folder with the masks of another.

    Without patterns, the files of a pair have the same path in their folders except for the
    extension. With a pattern, what its groups capture must be equal on both sides. A pattern with
    a slash is searched in the path within the folder, any other one only in the file's name.

    Options:
        images: Folder of images, searched with its subfolders.
        masks: Folder of masks, likewise; it may be the same one. If one folder lies in the other,
            the outer one is read without the inner one.
        regions: Folder of masks that are 0 where pixels must not count, likewise.
        image_pattern, mask_pattern, region_pattern: Regular expressions with at least one group.
        instances: Whether the masks number objects instead of classes. The parameter
            `ingestion.masks.instances` says so for all data.
    """
    places = {"image": images, "mask": masks} | ({"region": regions} if regions else {})
    patterns = {"image": image_pattern, "mask": mask_pattern, "region": region_pattern}
    for place in places.values():
        listing.within(place)
    found = _pair_files(listing, places, patterns)
    if not instances:
        return found
    pairs = [
        replace(pair, annotation=InstanceMask(SourceImage(pair.annotation.files[0])))
        for pair in found.pairs
    ]
    return replace(found, pairs=pairs)


def find_stacks(
    listing: FileListing,
    *,
    images: str = "images",
    masks: str = "masks",
    image_pattern: str | None = None,
    mask_pattern: str | None = None,
    instances: bool = False,
) -> Pairing:
    """Pair stacks of images with stacks of masks, then page with page.

    Stacks are paired as in the layout `folders`; a pair of pages has the image stack as its group.
    Only headers are read.

    Options:
        images: Folder of image stacks, searched with its subfolders, or one file.
        masks: The same for masks. Single files are a pair whatever their names.
        image_pattern, mask_pattern: As in the layout `folders`.
        instances: Whether the masks number objects instead of classes.
    """
    places = {"image": images.strip("/"), "mask": masks.strip("/")}
    for place in places.values():
        if place in listing.files:
            _require_tiff(listing.files[place])
    found = _pair_files(listing, places, {"image": image_pattern, "mask": mask_pattern})
    annotate = InstanceMask if instances else SemanticMask
    pairs, refused = [], found.refused
    for stack in found.pairs:
        file, mask = stack.image.file, stack.annotation.files[0]
        try:
            _require_tiff(file)
            _require_tiff(mask)
            n_pages, n_mask_pages = count_pages(file), count_pages(mask)
            if n_pages != n_mask_pages:
                problem = f"it has {n_pages} pages, but its mask {mask.name} has {n_mask_pages}"
                fix = "Export both from the same stack, with a mask for each page"
                raise InputError(file, problem, fix)
        except InputError as error:
            refused.append(error)
            continue
        digits = max(_MIN_DIGITS, len(str(n_pages - 1)))
        for page in range(n_pages):
            identifier, image = f"{stack.id}/{page:0{digits}}", SourceImage(file, page)
            annotation = annotate(SourceImage(mask, page))
            pairs.append(Pair(identifier, image, annotation, group=stack.id, is_series=True))
    return Pairing(pairs, sort_errors(refused))


def find_keys(
    listing: FileListing, place: str, pattern: str | None, parameter: str, places: Collection[str]
) -> dict[str, str | None]:
    """Return the key that pairs each image of a folder; None where the pattern does not match.

    The place may be a single file; other `places` in the folder are left out. A pattern, the value
    of a parameter, that is wrong or matches none is refused, and so is a folder without images.
    """
    expression = compile_pattern(pattern, parameter, _GROUP) if pattern else None
    prefix = _prefix(listing, place)
    names = [place] if place in listing.files else [prefix + n for n in listing.within(place)]
    inner = tuple(p for p in map(folder_prefix, places) if p.startswith(prefix) and p != prefix)
    keys: dict[str, str | None] = {}
    for name in names:
        if not is_image(name) or name.startswith(inner) or (name != place and name in places):
            continue
        path = name.removeprefix(prefix)
        keys[name] = path.rpartition(".")[0]
        if expression is not None:
            match = expression.search(
                path if "/" in expression.pattern else path.rpartition("/")[2]
            )
            keys[name] = "/".join(group or "" for group in match.groups()) if match else None
    if not keys:
        problem = f"the folder holds no image ({', '.join(READERS)})"
        fix = "Put images there, or correct the path in the catalog"
        raise InputError(listing.root / place, problem, fix)
    if {*keys.values()} == {None}:
        problem = f"{parameter} '{pattern}' matches none of its files"
        raise InputError(listing.root / place, problem, f"Correct {parameter} in the catalog")
    return keys


def escape_pattern(text: str) -> str:
    """Return a regular expression for a text; unlike `re.escape`, leave spaces alone."""
    return re.sub(r"([.^$*+?{}\[\]\\|()])", r"\\\1", text)


def _pair_files(
    listing: FileListing, places: Mapping[str, str], patterns: Mapping[str, str | None]
) -> Pairing:
    """Pair files by the places and patterns of each kind: "image", "mask" and perhaps "region"."""
    image, mask = places["image"], places["mask"]
    is_same = folder_prefix(image) == folder_prefix(mask)
    if is_same and (patterns["image"] == patterns["mask"] or image in listing.files):
        problem = f"images and masks are both '{image}', and nothing tells which are which"
        fix = "Give two places, or patterns as in '^(.+)_img' and '^(.+)_mask'"
        raise InputError("masks", problem, fix)
    keys = {
        kind: find_keys(listing, place, patterns[kind], f"{kind}_pattern", places.values())
        for kind, place in places.items()
    }
    # In one folder each pattern leaves out what the others match.
    counts: Counter[str] = Counter()
    by_key: dict[str, dict[str, list[str]]] = {kind: defaultdict(list) for kind in keys}
    for found in keys.values():
        counts.update({name: int(key is not None) for name, key in found.items()})
    for kind, found in keys.items():
        for name, key in found.items():
            if key is not None and counts[name] == 1:
                by_key[kind][key].append(name)
    refused = []
    for name, count in counts.items():
        problem, fix = "its name does not match the pattern", "Correct the pattern, or rename it"
        if count > 1:
            problem = "more than one pattern matches it"
            fix = "Let the patterns exclude each other, as '^(?!.+_mask)(.+)' and '^(.+)_mask' do"
        if count != 1:
            refused.append(InputError(listing.files[name], problem, fix))
    if image in listing.files and mask in listing.files:
        by_key["mask"] = {key: [mask] for key in by_key["image"]}
    pairs, left_over = _pair_by_key(listing, _prefix(listing, image), by_key)
    refused += [*list_refused(listing, places.values()), *left_over]
    return Pairing(pairs, sort_errors(refused))


def _prefix(listing: FileListing, place: str) -> str:
    """Return the common start of the paths in a folder, or in the folder of a single file."""
    return folder_prefix(place.rpartition("/")[0] if place in listing.files else place)


def _pair_by_key(
    listing: FileListing, prefix: str, by_key: Mapping[str, Mapping[str, list[str]]]
) -> tuple[list[Pair], list[InputError]]:
    """Pair files with equal keys, whose ids omit `prefix`; return errors for those left over."""
    files, pairs, refused = listing.files, [], []
    for key, images in by_key["image"].items():
        masks, regions = by_key["mask"].get(key, []), by_key.get("region", {}).get(key, [])
        if len(images) > 1 or len(masks) > 1:
            listed = ", ".join(name.rpartition("/")[2] for name in [*images, *masks])
            problem = f"several files have the key '{key}': {listed}"
            fix = "Rename or remove all but one image and one mask"
        elif not masks:
            problem = f"there is no mask '{key}'"
            fix = "Add the mask, move the image away, or set the patterns that pair them"
        elif "region" in by_key and len(regions) != 1:
            problem = f"{'several regions match' if regions else 'no region matches'} it"
            fix = "Give it one region file"
        else:
            identifier = images[0].removeprefix(prefix).rpartition(".")[0]
            annotation = SemanticMask(SourceImage(files[masks[0]]))
            region = files[regions[0]] if regions else None
            pairs.append(Pair(identifier, SourceImage(files[images[0]]), annotation, region))
            continue
        refused += [InputError(files[name], problem, fix) for name in images]
    for kind in by_key.keys() - {"image"}:
        fix = f"Add the image, move the {kind} away, or set the patterns that pair them"
        for key in by_key[kind].keys() - by_key["image"].keys():
            problem = f"there is no image '{key}'"
            refused += [InputError(files[name], problem, fix) for name in by_key[kind][key]]
    return sorted(pairs, key=lambda pair: natural_order(pair.id)), refused


def _require_tiff(file: File) -> None:
    if file.suffix.lower() not in (".tif", ".tiff"):
        problem = "only a TIFF file is a stack"
        fix = "Save the stack as TIFF, or use the layout `folders` for single images"
        raise InputError(file, problem, fix)
