"""What a segmenter does with objects, in words: which are removed, and which counts to doubt."""

from unetflow.config.mask_export import ObjectParameters
from unetflow.inference.postprocessing import Postprocessing

_HOW_TO_NUMBER = (
    "Correct the objects of a few images, add them as masks whose values number the objects "
    "(`ingestion.masks.instances: mixed`), and train again"
)


def describe_removal(postprocessing: Postprocessing) -> str:
    """Say which objects are removed, and how many true ones of the training images are as small."""
    size, cost = postprocessing.min_object_size, postprocessing.removal
    if size <= 1:
        return "No object is removed for being small."
    removed = f"Objects of fewer than {size:,} pixels are removed"
    if cost is None or cost.area != size:
        return f"{removed}."
    share = f"{cost.lost / cost.objects:.1%}".replace("%", " %")
    which = ", connected pieces where a mask does not number them," if cost.pieces else ""
    verb = "is" if cost.lost == 1 else "are"
    return (
        f"{removed}: {cost.lost:,} of the {cost.objects:,} training objects{which} ({share}) "
        f"{verb} smaller."
    )


def describe_doubt(objects_numbered: bool | None, objects: ObjectParameters | None = None) -> str:
    """Say that counts of touching objects cannot be trusted where no sample numbers its objects.

    Args:
        objects_numbered: See `inference.segmenter_files.SegmenterSettings`.
        objects: The rule for objects; None: that of the segmenter.

    Returns:
        Sentences; empty where samples number their objects, or nothing is known.
    """
    if objects_numbered is not False:
        return ""
    meaning = "touching objects are found and counted as one"
    if objects is not None and objects.method == "watershed":
        meaning = "the values of `mask_export.objects` were not compared with any true object"
    return (
        f"No sample numbers its objects, so {meaning}: do not trust counts of touching objects. "
        f"{_HOW_TO_NUMBER}."
    )
