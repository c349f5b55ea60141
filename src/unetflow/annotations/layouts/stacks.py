"""The layout `stacks`: TIFF files that hold many images, with their masks in other such files."""

from dataclasses import replace

from unetflow.annotations.layouts.folders import FilesByKey, group_by_key, pair_by_key
from unetflow.annotations.paths import refuse_unsupported_formats
from unetflow.annotations.raster import InstanceMask, SemanticMask
from unetflow.annotations.records import Pair, Pairing, SourceImage
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing, natural_order
from unetflow.io.files import File
from unetflow.io.formats.tiff import count_pages

_FEWEST_DIGITS = 3


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

    Stacks are paired by their names as in the layout `folders`. If `images` and `masks` are both
    single files, these are a pair whatever their names. Only headers are read.

    Args:
        listing: The files.
        images: Folder of image stacks, searched with its subfolders, or one file.
        masks: Folder of mask stacks or one file, likewise.
        image_pattern: Regular expression with at least one group, searched in the image's name.
        mask_pattern: The same for masks.
        instances: Whether the masks number objects, instead of giving classes.

    Returns:
        A pair for each page, with the image stack as its group, and one error for each file that
        is left over or cannot be read.

    Raises:
        InputError: A folder is missing or holds no image, a pattern is wrong, or images and masks
            are the same files.
    """
    images, masks = images.strip("/"), masks.strip("/")
    stacks, refused = _pair_stacks(listing, images, masks, image_pattern, mask_pattern)
    pairs = []
    for stack in stacks:
        (mask,) = stack.annotation.files
        try:
            pages = _count(stack.image.file, mask)
        except InputError as error:
            refused.append(error)
        else:
            pairs += _pair_pages(stack.id, stack.image.file, mask, pages, instances)
    refused += [*listing.refused, *refuse_unsupported_formats(listing, {images, masks})]
    refused.sort(key=lambda error: natural_order(error.where))
    return Pairing(pairs, refused)


def _pair_stacks(
    listing: FileListing,
    images: str,
    masks: str,
    image_pattern: str | None,
    mask_pattern: str | None,
) -> tuple[list[Pair], list[InputError]]:
    """Pair the stacks as wholes; return an error for each one that is left over."""
    if images == masks and (image_pattern == mask_pattern or images in listing.files):
        raise InputError(
            "masks",
            f"images and masks are both '{images}'",
            "Give them two places, or the patterns that tell them apart",
        )
    image_keys, other_images = _key(listing, images, masks, image_pattern, "image_pattern")
    mask_keys, other_masks = _key(listing, masks, images, mask_pattern, "mask_pattern")
    if images in listing.files and masks in listing.files:
        mask_keys = {key: [masks] for key in image_keys}
    # In one folder each pattern leaves out what the other one takes.
    unmatched = other_images & other_masks if images == masks else other_images | other_masks
    refused = [
        InputError(
            listing.files[name],
            "its name does not match the pattern",
            "Correct the pattern, or rename it",
        )
        for name in unmatched
    ]
    stacks, left_over = pair_by_key(listing, _folder(listing, images), image_keys, mask_keys)
    return stacks, [*refused, *left_over]


def _key(
    listing: FileListing, place: str, other: str, pattern: str | None, parameter: str
) -> tuple[FilesByKey, set[str]]:
    """Sort the stacks of a folder, or the one that is given, by what pairs them."""
    folder = _folder(listing, place)
    if place in listing.files:
        _require_tiff(listing.files[place])
        return group_by_key(
            replace(listing, files={place: listing.files[place]}), folder, pattern, parameter
        )
    files = {name: file for name, file in listing.files.items() if name != other}
    inside = other != place and (place in ("", ".") or other.startswith(f"{place}/"))
    return group_by_key(
        replace(listing, files=files), folder, pattern, parameter, [other] if inside else []
    )


def _folder(listing: FileListing, place: str) -> str:
    return place.rpartition("/")[0] or "." if place in listing.files else place


def _require_tiff(file: File) -> None:
    if file.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(
            file,
            "only a TIFF file is a stack",
            "Save the stack as TIFF, or use the layout `folders` for single images",
        )


def _count(image: File, mask: File) -> int:
    """Return how many pages an image stack and its mask have.

    Raises:
        InputError: One of them cannot be read, or they have different numbers of pages.
    """
    _require_tiff(image)
    _require_tiff(mask)
    pages, mask_pages = count_pages(image), count_pages(mask)
    if pages != mask_pages:
        raise InputError(
            image,
            f"it has {pages} pages, but its mask {mask.name} has {mask_pages}",
            "Export both from the same stack, with a mask for each page",
        )
    return pages


def _pair_pages(stack: str, image: File, mask: File, pages: int, instances: bool) -> list[Pair]:
    digits = max(_FEWEST_DIGITS, len(str(pages - 1)))
    annotate = InstanceMask if instances else SemanticMask
    return [
        Pair(
            f"{stack}/{page:0{digits}}",
            SourceImage(image, page),
            annotate(SourceImage(mask, page)),
            group=stack,
            is_series=True,
        )
        for page in range(pages)
    ]
