"""The layout `stacks`: TIFF files that hold many images, with their masks in other such files."""

from unetflow.annotations.layouts.folders import pair_files
from unetflow.annotations.paths import refuse_unsupported_formats
from unetflow.annotations.raster import InstanceMask, SemanticMask
from unetflow.annotations.records import Pair, Pairing, SourceImage, sort_errors
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing
from unetflow.io.files import File
from unetflow.io.formats.tiff import count_pages

_MIN_DIGITS = 3


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
        instances: Whether the masks number objects instead of classes.

    Returns:
        A pair for each page, with the image stack as its group, and one error for each file that
        is left over or cannot be read.

    Raises:
        InputError: A folder is missing or holds no image, a pattern is wrong, or images and masks
            are the same files.
    """
    places = {"image": images.strip("/"), "mask": masks.strip("/")}
    for place in places.values():
        if place in listing.files:
            _require_tiff(listing.files[place])
    found = pair_files(listing, places, {"image": image_pattern, "mask": mask_pattern})
    pairs, refused = [], found.refused
    for stack in found.pairs:
        (mask,) = stack.annotation.files
        try:
            n_pages = _count_pages(stack.image.file, mask)
        except InputError as error:
            refused.append(error)
            continue
        digits = max(_MIN_DIGITS, len(str(n_pages - 1)))
        annotate = InstanceMask if instances else SemanticMask
        pairs += [
            Pair(
                f"{stack.id}/{page:0{digits}}",
                SourceImage(stack.image.file, page),
                annotate(SourceImage(mask, page)),
                group=stack.id,
                is_series=True,
            )
            for page in range(n_pages)
        ]
    refused += [*listing.refused, *refuse_unsupported_formats(listing, places.values())]
    return Pairing(pairs, sort_errors(refused))


def _require_tiff(file: File) -> None:
    if file.suffix.lower() not in (".tif", ".tiff"):
        problem = "only a TIFF file is a stack"
        fix = "Save the stack as TIFF, or use the layout `folders` for single images"
        raise InputError(file, problem, fix)


def _count_pages(image: File, mask: File) -> int:
    """Return how many pages an image stack and its mask have.

    Raises:
        InputError: One of them cannot be read, or their numbers of pages differ.
    """
    _require_tiff(image)
    _require_tiff(mask)
    n_pages, n_mask_pages = count_pages(image), count_pages(mask)
    if n_pages != n_mask_pages:
        problem = f"it has {n_pages} pages, but its mask {mask.name} has {n_mask_pages}"
        fix = "Export both from the same stack, with a mask for each page"
        raise InputError(image, problem, fix)
    return n_pages
