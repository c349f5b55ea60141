"""Pairs put together from a table and a folder, each under a name that no other one has."""

from collections import defaultdict
from collections.abc import Iterable

from unetflow.annotations.records import Pair, Pairing, SourceImage
from unetflow.core.errors import InputError
from unetflow.io.file_listing import natural_order
from unetflow.io.files import File


def build_pairing(
    pairs: Iterable[Pair], unlabelled: Iterable[tuple[str, File]], refused: Iterable[InputError]
) -> Pairing:
    """Put what was found in natural order.

    Args:
        pairs: The annotated images.
        unlabelled: The ids and files of the others.
        refused: The errors until now.

    Returns:
        All of it, without the images that share their id with another one: they are refused.
    """
    found: dict[str, list[tuple[SourceImage, Pair | None]]] = defaultdict(list)
    for pair in pairs:
        found[pair.id].append((pair.image, pair))
    for identifier, file in unlabelled:
        found[identifier].append((SourceImage(file), None))
    sole, waiting, errors = list[Pair](), dict[str, SourceImage](), list(refused)
    for identifier in sorted(found, key=natural_order):
        (picture, annotated), *others = found[identifier]
        if others:
            names = ", ".join(other.file.name for other, _ in found[identifier])
            errors += [
                InputError(
                    other,
                    f"'{identifier}' stands for several images: {names}",
                    "Rename or remove all but one of them",
                )
                for other, _ in found[identifier]
            ]
        elif annotated is not None:
            sole.append(annotated)
        else:
            waiting[identifier] = picture
    errors.sort(key=lambda error: natural_order(error.where))
    return Pairing(sole, errors, waiting)
