"""The layout `objects`: a folder for each image, with one mask file for each object in it."""

from collections import defaultdict
from dataclasses import replace

from unetflow.annotations.paths import refuse_unsupported_formats
from unetflow.annotations.raster import ObjectMasks
from unetflow.annotations.records import Pair, Pairing, SourceImage, build_pairing
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing
from unetflow.io.files import File
from unetflow.io.formats.readers import is_image


def find_object_masks(
    listing: FileListing, *, images: str = "images", masks: str = "masks"
) -> Pairing:
    """Find `<id>/images/*.png` and `<id>/masks/*.png`, as in the Data Science Bowl 2018.

    Args:
        listing: The files.
        images: Name of the folder with the one image.
        masks: Name of the folder with the objects' masks.

    Returns:
        A pair for each image, named by its folder; images without any mask are unlabelled.

    Raises:
        InputError: There is no such folder.
    """
    images, masks = images.strip("/"), masks.strip("/")
    if images == masks:
        problem = f"images and masks are both in folders called '{images}'"
        raise InputError("masks", problem, "Correct `images` or `masks` in the catalog")
    files = {
        name: file for name, file in listing.files.items() if _split(name)[1] in (images, masks)
    }
    by_folder: dict[tuple[str, str], list[File]] = defaultdict(list)
    for name in filter(is_image, files):
        by_folder[_split(name)].append(files[name])
    root, pairs, unlabelled = listing.root, [], []
    unsupported = refuse_unsupported_formats(replace(listing, files=files), {"."})
    refused = [*listing.refused, *unsupported]
    for (identifier, folder), found in by_folder.items():
        annotation = ObjectMasks(
            tuple(by_folder.get((identifier, masks), ())), str(root / identifier / masks)
        )
        if folder == masks:
            if (identifier, images) not in by_folder:
                problem = f"there are masks, but no image in {identifier}/{images}"
                fix = "Add the image, or remove the masks"
                refused.append(InputError(annotation.where, problem, fix))
        elif len(found) > 1:
            problem = f"it holds {len(found)} images instead of one"
            fix = "Give each image a folder of its own"
            refused.append(InputError(root / identifier / images, problem, fix))
        elif annotation.masks:
            pairs.append(Pair(identifier, SourceImage(found[0]), annotation))
        else:
            unlabelled.append((identifier, found[0]))
    if not any(folder == images for _, folder in by_folder):
        problem = f"there is no folder <id>/{images} with an image in it"
        raise InputError(root, problem, "Correct `images` and `path` in the catalog")
    return build_pairing(pairs, unlabelled, refused)


def _split(name: str) -> tuple[str, str]:
    """Return the id in a file's path and the name of its folder; "" without an id."""
    identifier, _, folder = name.rpartition("/")[0].rpartition("/")
    return identifier, folder if identifier else ""
