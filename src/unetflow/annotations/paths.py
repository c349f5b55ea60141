"""Paths in a file listing as options and tables write them, and the images among them."""

import posixpath
import re
from collections.abc import Iterable
from pathlib import PureWindowsPath

from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing
from unetflow.io.files import File
from unetflow.io.formats.readers import is_image

_UNSUPPORTED = re.compile(
    r"\.(avif|czi|dcm|exr|heic|ims|j2k|jp2|lif|lsm|mha|mrxs|nd2|ndpi|nii|nii\.gz|npy|nrrd|oib|oif"
    r"|pbm|pgm|pnm|ppm|svs|vsi|webp)$",
    re.IGNORECASE,
)
"""Extensions of images that no reader knows; leaving them out silently would hide them."""


def folder_prefix(folder: str) -> str:
    """Return the common start of the paths within a folder."""
    return "" if folder in (".", "") else folder.strip("/") + "/"


def without_suffix(name: str) -> str:
    """Return a path without the extension of its last part."""
    return posixpath.splitext(name)[0]


def list_images(listing: FileListing, folder: str) -> dict[str, File]:
    """Return the images within a folder by their paths in it.

    Raises:
        InputError: The folder holds no file.
    """
    return {name: file for name, file in listing.within(folder).items() if is_image(name)}


def resolve_path(folder: str, name: str) -> str | None:
    """Return the target of a path in a table, relative to a folder; None outside the root.

    Both kinds of slashes are understood, since tables are written on Windows too.
    """
    path = PureWindowsPath(name)
    if path.anchor:
        return None
    joined = posixpath.normpath(posixpath.join(folder, path.as_posix()))
    return None if joined.split("/")[0] == ".." else joined


def refuse_unsupported_formats(listing: FileListing, folders: Iterable[str]) -> list[InputError]:
    """Return an error for each image within the folders whose format no reader knows."""
    prefixes = tuple(folder_prefix(folder) for folder in folders)
    return [
        InputError(file, f"no reader knows {file.suffix} files", "Convert it to TIFF")
        for name, file in listing.files.items()
        if name.startswith(prefixes) and _UNSUPPORTED.search(name)
    ]
