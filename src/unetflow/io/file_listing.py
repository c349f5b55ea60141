"""Listing of the files in a folder or a zip archive, and names of files."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unetflow.core.errors import InputError
from unetflow.io.archive import list_members
from unetflow.io.files import File


@dataclass(frozen=True)
class FileListing:
    """The files in a folder or archive.

    Attributes:
        root: The folder or zip archive.
        files: All files by their relative path with slashes, in alphabetical order.
        refused: An error for each file that must not be opened.
    """

    root: Path
    files: dict[str, File]
    refused: list[InputError]

    def within(self, folder: str) -> dict[str, File]:
        """Return the files in a folder and its subfolders by their relative path.

        Args:
            folder: Path of the folder; "." is the root.

        Raises:
            InputError: It holds no file.
        """
        prefix = "" if folder in (".", "") else folder.strip("/") + "/"
        files = {
            name.removeprefix(prefix): file
            for name, file in self.files.items()
            if name.startswith(prefix)
        }
        if not files:
            known = ", ".join(self.folders()) or "none"
            raise InputError(
                self.root / folder,
                "there is no such folder, or it is empty",
                f"Correct the path in the catalog; folders with files: {known}",
            )
        return files

    def file(self, name: str) -> File:
        """Return one file; raise an `InputError` if it does not exist."""
        if name not in self.files:
            raise InputError(
                self.root / name, "there is no such file", "Correct the path in the catalog"
            )
        return self.files[name]

    def folders(self, most: int = 8) -> list[str]:
        """Return the first folders that hold files; "." is the root."""
        folders = dict.fromkeys(name.rpartition("/")[0] or "." for name in self.files)
        return list(folders)[:most]


def list_files(root: Path) -> FileListing:
    """List the files in a folder or in a zip archive, except hidden ones.

    Symbolic links are followed within the root only, and of several links to one folder only the
    first.

    Raises:
        InputError: There is neither, or the archive is damaged or hostile.
    """
    if root.is_dir():
        files, refused = _list_folder(root)
    elif root.is_file():
        members, refused = list_members(root)
        files = {member.path: member for member in members}
    else:
        raise InputError(
            root, "there is no such folder or archive", "Correct the path in the catalog"
        )
    visible = {name: files[name] for name in sorted(files) if not _is_hidden(name)}
    return FileListing(root, visible, refused)


def natural_order(text: str) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key that puts 2 before 10 and distinguishes 1 from 01."""
    parts = [
        # A longer number is larger; converting it would take longer, or fail on a hostile name.
        (len(part.lstrip("0")), part.lstrip("0")) if part.isdecimal() else (-1, part)
        for part in re.split(r"(\d+)", text)
    ]
    return parts, text


def compile_pattern(pattern: str, where: object, example: str) -> re.Pattern[str]:
    """Compile a regular expression whose groups capture what belongs together.

    Args:
        pattern: The expression.
        where: The option or parameter, for the error message.
        example: What to do if there is no group, with an example.

    Raises:
        InputError: It is not a regular expression, or has no group.
    """
    try:
        expression = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:  # huge counts, deep brackets
        raise InputError(
            where, f"'{pattern}' is not a regular expression ({error})", "Correct it"
        ) from error
    if not expression.groups:
        raise InputError(where, f"'{pattern}' has no group in round brackets", example)
    return expression


def _list_folder(root: Path) -> tuple[dict[str, File], list[InputError]]:
    files: dict[str, File] = {}
    refused: list[InputError] = []
    for path in _walk(root, refused):
        where = str(path).encode(errors="backslashreplace").decode()
        if where != str(path):
            refused.append(InputError(where, "its name is not encoded in UTF-8", "Rename it"))
        elif path.is_symlink() and not _stays_within(root, path):
            refused.append(
                InputError(
                    path,
                    f"it is a symbolic link that leaves {root}",
                    "Copy its target, or give the folder that holds the target as the path",
                )
            )
        elif path.is_file():
            files[path.relative_to(root).as_posix()] = path
        elif path.is_symlink() and not path.exists():
            refused.append(
                InputError(path, "it is a symbolic link to nothing", "Restore its target")
            )
    return files, refused


def _walk(root: Path, refused: list[InputError]) -> Iterator[Path]:
    """Yield all files, and links to folders outside, but nothing hidden.

    Args:
        root: The folder.
        refused: Receives an error for each folder that cannot be listed.
    """

    def refuse(error: OSError) -> None:
        where, reason = error.filename or root, error.strerror or error
        problem = f"the folder cannot be listed ({reason})"
        refused.append(InputError(where, problem, "Change its permissions"))

    followed: set[str] = set()
    waiting = [root]
    while waiting:
        for folder, subfolders, names in os.walk(waiting.pop(), onerror=refuse):
            subfolders[:] = [name for name in subfolders if not _is_hidden(name)]
            yield from (Path(folder) / name for name in names if not _is_hidden(name))
            for link in (Path(folder) / name for name in subfolders):
                target = os.path.realpath(link)
                if not link.is_symlink():
                    continue
                if not _stays_within(root, link):
                    yield link
                # Following a link to its own parent would not end.
                elif target in followed or Path(os.path.realpath(folder)).is_relative_to(target):
                    problem = "it is a symbolic link to a folder that is already listed"
                    refused.append(InputError(link, problem, "Remove the link"))
                else:
                    followed.add(target)
                    waiting.append(link)


def _stays_within(root: Path, link: Path) -> bool:
    return Path(os.path.realpath(link)).is_relative_to(root.resolve())


def _is_hidden(name: str) -> bool:
    return "/." in name or "/__MACOSX" in name or name.startswith((".", "__MACOSX"))
