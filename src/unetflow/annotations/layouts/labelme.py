"""The layout `labelme`: a JSON file for each image, as LabelMe writes it."""

import base64
import io
import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unetflow.annotations.json_tables import read_id, read_json, read_size, value_of
from unetflow.annotations.pairing import build_pairing
from unetflow.annotations.paths import (
    folder_prefix,
    list_images,
    refuse_unsupported_formats,
    resolve_path,
    without_suffix,
)
from unetflow.annotations.polygons import (
    Geometry,
    Polygon,
    ShapeAnnotation,
    ShapedObject,
    parse_coordinates,
)
from unetflow.annotations.records import Pair, Pairing, SourceImage
from unetflow.annotations.tables import shorten
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing
from unetflow.io.files import File
from unetflow.io.formats.registry import is_image

_SLACK = 2
"""Pixels by which a mask may differ from its box, whose corners have been rounded."""


@dataclass(frozen=True)
class Circle:
    """A circle: all pixels whose centre is not farther from its centre than the rim is.

    Attributes:
        x: Its centre, in pixels from the image's left edge.
        y: The same from the upper edge.
        rim_x: A point on its rim.
        rim_y: The same from the upper edge.
    """

    x: float
    y: float
    rim_x: float
    rim_y: float

    def pixels(self, shape: tuple[int, int], where: object) -> NDArray[np.bool_]:
        """Fill the circle as far as it lies in the image."""
        height, width = shape
        rows = np.square(np.arange(height) + 0.5 - self.y)
        columns = np.square(np.arange(width) + 0.5 - self.x)
        radius = (self.rim_x - self.x) ** 2 + (self.rim_y - self.y) ** 2
        inside: NDArray[np.bool_] = columns[np.newaxis, :] <= (radius - rows)[:, np.newaxis]
        return inside


@dataclass(frozen=True)
class Patch:
    """A small mask at a place in the image.

    Attributes:
        png: The mask as a PNG file; all but 0 belongs to the object.
        box: Left, upper, right and lower edge in pixels.
    """

    png: bytes
    box: tuple[int, int, int, int]

    def pixels(self, shape: tuple[int, int], where: object) -> NDArray[np.bool_]:
        """Paste the mask, as far as it lies in the image."""
        mask = self._decode(shape, where)
        pixels = np.zeros(shape, bool)
        left, top = self.box[:2]
        target = pixels[max(top, 0) : max(top + mask.shape[0], 0), :]
        target = target[:, max(left, 0) : max(left + mask.shape[1], 0)]
        source = mask[max(-top, 0) :, max(-left, 0) :]
        target[...] = source[: target.shape[0], : target.shape[1]]
        return pixels

    def _decode(self, shape: tuple[int, int], where: object) -> NDArray[np.bool_]:
        left, top, right, bottom = self.box
        try:
            with Image.open(io.BytesIO(self.png), formats=["PNG"]) as image:
                misfit = max(abs(image.width - right + left), abs(image.height - bottom + top))
                if misfit > _SLACK or image.width > shape[1] or image.height > shape[0]:
                    raise InputError(
                        where,
                        f"its mask of {image.width} x {image.height} pixels does not fit its box "
                        f"of {right - left} x {bottom - top}, or the image",
                        "Draw the object again",
                    )
                if image.mode not in ("1", "L", "P"):
                    raise InputError(
                        where, f"the colours of its mask are {image.mode}", "Draw the object again"
                    )
                mask: NDArray[np.bool_] = np.asarray(image) != 0
                return mask
        except InputError:
            raise
        except Exception as error:  # decoders raise anything on damaged bytes
            raise InputError(
                where, "its mask is no PNG image that can be decoded", "Draw the object again"
            ) from error


def find_labelme(
    listing: FileListing, *, annotations: str = ".", images: str | None = None
) -> Pairing:
    """Find images that were annotated with LabelMe.

    An image lies where its JSON file's `imagePath` leads, or else has the same name as the JSON
    file and lies beside it or in the folder of images.

    Args:
        listing: The files.
        annotations: Folder of JSON files, searched with its subfolders.
        images: Folder of images, likewise; None: they lie with the JSON files.

    Returns:
        A pair for each JSON file; the folder's other images are unlabelled.

    Raises:
        InputError: A folder is not there, or holds no JSON file.
    """
    folder = annotations if images is None else images
    prefix, files = folder_prefix(folder), list_images(listing, folder)
    refused = [*listing.refused, *refuse_unsupported_formats(listing, {folder})]
    search = _Search(listing, folder_prefix(annotations), prefix)
    annotators, found = Counter[str](), list[tuple[str, ShapeAnnotation]]()
    for table in _tables(listing, annotations):
        image = None
        try:
            record = _read_record(listing.files[table])
            image = search.image_of(table, record)
            found.append((image, _shapes(record, str(listing.files[table]))))
        except InputError as error:
            refused.append(error)
        # An image whose annotation is wrong is not one that nobody has annotated.
        annotators.update([image] if image else search.namesakes(table))
    refused += [
        InputError(shapes.where, f"another file annotates its image '{image}' too", "Remove one")
        for image, shapes in found
        if annotators[image] > 1
    ]
    pairs = [
        Pair(without_suffix(image.removeprefix(prefix)), SourceImage(listing.files[image]), shapes)
        for image, shapes in found
        if annotators[image] == 1
    ]
    others = [
        (without_suffix(n), file) for n, file in files.items() if prefix + n not in annotators
    ]
    return build_pairing(pairs, others, refused)


class _Search:
    """Finds the images of JSON files.

    Args:
        listing: The files.
        annotations: What the paths of the JSON files begin with.
        images: What the paths of the images begin with.
    """

    def __init__(self, listing: FileListing, annotations: str, images: str) -> None:
        self._listing, self._annotations, self._images = listing, annotations, images
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for name in filter(is_image, listing.files):
            self._by_stem[without_suffix(name)].append(name)

    def namesakes(self, table: str) -> list[str]:
        """Return the images beside a JSON file with the same name, or those in the folder."""
        beside = without_suffix(table)
        other = self._images + beside.removeprefix(self._annotations)
        return self._by_stem.get(beside) or self._by_stem.get(other) or []

    def image_of(self, table: str, record: Mapping[str, Any]) -> str:
        """Return the path of the image that a JSON file annotates.

        Raises:
            InputError: It is not there, or there are several.
        """
        path = record.get("imagePath")
        if isinstance(path, str):
            located = resolve_path(posixpath.dirname(table), path)
            if located in self._listing.files and is_image(located):
                return located
        names = self.namesakes(table)
        if len(names) == 1:
            return names[0]
        where = self._listing.files[table]
        if names:
            raise InputError(
                where,
                f"several images have its name: {', '.join(names)}",
                "Remove all but one of them",
            )
        problem = f"there is no image at its imagePath {shorten(path)}, and none of its name"
        if record.get("imageData"):
            fix = "Export the image out of the JSON file, as `labelme_export_json` does"
            raise InputError(where, f"{problem}; only a copy of it is in the JSON file", fix)
        raise InputError(where, problem, "Put the image beside it, or correct `images`")


def _tables(listing: FileListing, folder: str) -> list[str]:
    names = [
        folder_prefix(folder) + n for n in listing.within(folder) if n.lower().endswith(".json")
    ]
    if not names:
        raise InputError(
            listing.root / folder,
            "the folder holds no JSON file",
            "Put LabelMe's files there, or correct `annotations`",
        )
    return names


def _read_record(file: File) -> dict[str, Any]:
    record = read_json(file)
    if "shapes" not in record:
        raise InputError(
            file,
            "it is no file of LabelMe: it has no key 'shapes'",
            "Move it out of the folder, or correct `annotations`",
        )
    return record


def _shapes(record: Mapping[str, Any], where: str) -> ShapeAnnotation:
    size = read_size(record, "imageHeight", "imageWidth", where)
    return ShapeAnnotation(_objects(value_of(record, "shapes", list, where), where), where, size)


def _objects(shapes: Iterable[Any], where: str) -> tuple[ShapedObject, ...]:
    """Read the objects; shapes with the same label and `group_id` are one."""
    parts: dict[tuple[Any, ...], list[Geometry]] = defaultdict(list)
    names: dict[tuple[Any, ...], str] = {}
    for number, shape in enumerate(shapes):
        here = f"shapes[{number}]"
        whole = f"{where}, {here}"
        if not isinstance(shape, dict):
            raise InputError(whole, "it is no object with keys", "Draw the object again")
        label = value_of(shape, "label", str, whole)
        grouped = shape.get("group_id") is not None
        key = (label, read_id(shape, "group_id", whole)) if grouped else (label, None, number)
        names.setdefault(key, here)
        parts[key].append(_geometry(shape, whole))
    return tuple(ShapedObject(key[0], tuple(parts[key]), here) for key, here in names.items())


def _geometry(shape: Mapping[str, Any], where: str) -> Geometry:
    points = [_point(point, where) for point in value_of(shape, "points", list, where)]
    kind = shape.get("shape_type") or "polygon"
    match kind, points:
        case ("polygon", [_, _, _, *_]) | ("rectangle" | "oriented_rectangle", [_, _, _, _]):
            return Polygon(tuple(number for point in points for number in point))
        case "rectangle", [(x, y), (other_x, other_y)]:
            return Polygon((x, y, other_x, y, other_x, other_y, x, other_y))
        case "circle", [(x, y), (rim_x, rim_y)]:
            return Circle(x, y, rim_x, rim_y)
        case "mask", [(x, y), (other_x, other_y)]:
            box = (round(x), round(y), round(other_x), round(other_y))
            return Patch(_decode_text(shape, where), box)
        case (("point" | "points" | "line" | "linestrip"), _):
            raise InputError(
                where, f"a {kind} has no area", "Draw a polygon around the object, or remove it"
            )
    raise InputError(
        where,
        f"there is no shape {shorten(kind)} with {len(points)} points",
        "Draw the object again as a polygon",
    )


def _point(point: object, where: str) -> tuple[float, float]:
    if not isinstance(point, list) or len(point) != 2:
        raise InputError(where, "one of its points is not an x and a y", "Draw the object again")
    x, y = parse_coordinates(point, where)
    return x, y


def _decode_text(shape: Mapping[str, Any], where: str) -> bytes:
    try:
        return base64.b64decode(value_of(shape, "mask", str, where), validate=True)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(where, "its mask is no text in base64", "Draw the object again") from error
