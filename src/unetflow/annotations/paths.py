"""The paths of a listing as options and tables name them, and the images among them."""

import posixpath
import re
from collections.abc import Iterable
from pathlib import PureWindowsPath

from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing
from unetflow.io.files import File
from unetflow.io.formats.registry import is_image

_FOREIGN = re.compile(
    r"\.(avif|czi|dcm|exr|heic|ims|j2k|jp2|lif|lsm|mha|mrxs|nd2|ndpi|nii|nii\.gz|npy|nrrd|oib|oif"
    r"|pbm|pgm|pnm|ppm|svs|vsi|webp)$",
    re.IGNORECASE,
)
"""Endings of images that no reader knows; they are not passed over in silence."""


def folder_prefix(folder: str) -> str:
    """Return what the paths of files below a folder begin with."""
    return "" if folder in (".", "") else folder.strip("/") + "/"


def without_suffix(name: str) -> str:
    """Return a path without the ending of its last part."""
    return posixpath.splitext(name)[0]


def list_images(listing: FileListing, folder: str) -> dict[str, File]:
    """Return the images below a folder by their paths in it.

    Raises:
        InputError: There is no file below it.
    """
    return {name: file for name, file in listing.within(folder).items() if is_image(name)}


def resolve_path(folder: str, name: str) -> str | None:
    """Return where a path in a table leads, seen from a folder; None where it leaves the root.

    Slashes of both kinds are understood, since tables are written on Windows too.
    """
    path = PureWindowsPath(name)
    if path.anchor:
        return None
    joined = posixpath.normpath(posixpath.join(folder, path.as_posix()))
    return None if joined.split("/")[0] == ".." else joined


def refuse_unsupported_formats(listing: FileListing, folders: Iterable[str]) -> list[InputError]:
    """Return an error for each image in the folders whose format no reader knows."""
    prefixes = tuple(folder_prefix(folder) for folder in folders)
    return [
        InputError(file, f"no reader knows {file.suffix} files", "Convert it to TIFF")
        for name, file in listing.files.items()
        if name.startswith(prefixes) and _FOREIGN.search(name)
    ]
