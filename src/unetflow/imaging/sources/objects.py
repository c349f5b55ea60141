"""The layout `objects`: a folder for each image, with one mask file for each object in it."""

from collections import defaultdict
from dataclasses import replace

from unetflow.imaging.errors import InputError
from unetflow.imaging.readers import is_image
from unetflow.imaging.sources.annotations import ObjectImages
from unetflow.imaging.sources.folders import refuse_foreign
from unetflow.imaging.sources.records import Pair, Pairing, Picture
from unetflow.imaging.trees import FileTree, natural_order


def find_object_masks(tree: FileTree, *, images: str = "images", masks: str = "masks") -> Pairing:
    """Find `<id>/images/*.png` and `<id>/masks/*.png`, as in the Data Science Bowl 2018.

    Args:
        tree: The files.
        images: Name of the folder with the one image.
        masks: Name of the folder with the objects' masks.

    Returns:
        A pair for each image, named by its folder; images without any mask are unlabelled.

    Raises:
        InputError: No such folder is there.
    """
    images, masks = images.strip("/"), masks.strip("/")
    image_names: dict[str, list[str]] = defaultdict(list)
    mask_names: dict[str, list[str]] = defaultdict(list)
    inside = {}
    for name, file in tree.files.items():
        parent, _, kind = name.rpartition("/")[0].rpartition("/")
        if parent and kind in (images, masks):
            inside[name] = file
            if is_image(name):
                (image_names if kind == images else mask_names)[parent].append(name)
    if not image_names:
        raise InputError(
            tree.root,
            f"there is no folder <id>/{images} with an image in it",
            "Correct `images` and `path` in the catalog",
        )
    foreign = refuse_foreign(replace(tree, files=inside), {"."})
    pairs, refused, unlabelled = [], [*tree.refused, *foreign], {}
    for identifier, names in image_names.items():
        picture = Picture(tree.files[names[0]])
        if len(names) > 1:
            refused.append(
                InputError(
                    tree.root / identifier / images,
                    f"it holds {len(names)} images instead of one",
                    "Give each image a folder of its own",
                )
            )
        elif identifier not in mask_names:
            unlabelled[identifier] = picture
        else:
            files = tuple(tree.files[name] for name in mask_names[identifier])
            where = str(tree.root / identifier / masks)
            pairs.append(Pair(identifier, picture, ObjectImages(files, where)))
    refused += [
        InputError(
            tree.root / identifier / masks,
            f"there are masks, but no image in {identifier}/{images}",
            "Add the image, or remove the masks",
        )
        for identifier in mask_names.keys() - image_names.keys()
    ]
    pairs.sort(key=lambda pair: natural_order(pair.id))
    refused.sort(key=lambda error: natural_order(error.where))
    return Pairing(pairs, refused, unlabelled)
