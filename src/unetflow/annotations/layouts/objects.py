"""The layout `objects`: a folder for each image, with one mask file for each object in it."""

from collections import defaultdict
from dataclasses import replace

from unetflow.annotations.paths import refuse_unsupported_formats
from unetflow.annotations.raster import ObjectMasks
from unetflow.annotations.records import Pair, Pairing, SourceImage
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing, natural_order
from unetflow.io.formats.registry import is_image


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
        InputError: No such folder is there.
    """
    images, masks = images.strip("/"), masks.strip("/")
    if images == masks:
        raise InputError(
            "masks",
            f"images and masks are both in folders called '{images}'",
            "Correct `images` or `masks` in the catalog",
        )
    image_names, mask_names = _names_by_id(listing, images), _names_by_id(listing, masks)
    if not image_names:
        raise InputError(
            listing.root,
            f"there is no folder <id>/{images} with an image in it",
            "Correct `images` and `path` in the catalog",
        )
    pairs, unlabelled = [], {}
    orphans = mask_names.keys() - image_names.keys()
    refused = [*listing.refused, *_refuse_foreign(listing, (images, masks))]
    refused += [_refuse_orphan(listing, identifier, images, masks) for identifier in orphans]
    for identifier, names in image_names.items():
        picture = SourceImage(listing.files[names[0]])
        if len(names) > 1:
            problem = f"it holds {len(names)} images instead of one"
            fix = "Give each image a folder of its own"
            refused.append(InputError(listing.root / identifier / images, problem, fix))
        elif identifier not in mask_names:
            unlabelled[identifier] = picture
        else:
            files = tuple(listing.files[name] for name in mask_names[identifier])
            where = str(listing.root / identifier / masks)
            pairs.append(Pair(identifier, picture, ObjectMasks(files, where)))
    pairs.sort(key=lambda pair: natural_order(pair.id))
    refused.sort(key=lambda error: natural_order(error.where))
    return Pairing(pairs, refused, unlabelled)


def _split(name: str) -> tuple[str, str]:
    """Return the id in a file's path, "" where there is none, and the name of its folder."""
    identifier, _, folder = name.rpartition("/")[0].rpartition("/")
    return identifier, folder


def _names_by_id(listing: FileListing, folder: str) -> dict[str, list[str]]:
    """Return the images in the folders of a name, by what these folders lie in."""
    names: dict[str, list[str]] = defaultdict(list)
    for name in filter(is_image, listing.files):
        identifier, its_folder = _split(name)
        if identifier and its_folder == folder:
            names[identifier].append(name)
    return names


def _refuse_orphan(listing: FileListing, identifier: str, images: str, masks: str) -> InputError:
    return InputError(
        listing.root / identifier / masks,
        f"there are masks, but no image in {identifier}/{images}",
        "Add the image, or remove the masks",
    )


def _refuse_foreign(listing: FileListing, folders: tuple[str, str]) -> list[InputError]:
    """Return an error for each image in these folders whose format no reader knows."""
    inside = {
        name: file
        for name, file in listing.files.items()
        if _split(name)[0] and _split(name)[1] in folders
    }
    return refuse_unsupported_formats(replace(listing, files=inside), {"."})
