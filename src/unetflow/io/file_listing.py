"""Listing of the files in a folder or a zip archive, whose content is not trusted."""

import os
import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unetflow.core.errors import InputError
from unetflow.io.files import ArchiveMember, File, open_archive

MAX_MEMBERS = 1_000_000
"""Maximum number of files in an archive."""
MAX_MEMBER_BYTES = 2**30
"""Maximum unpacked size of a member."""
MAX_NAME, MAX_NAME_PART = 2000, 255
"""Maximum number of characters of a path, and of bytes of its parts, as on disks."""
MAX_RATIO, RATIO_FREE_BYTES = 200, 64 * 2**20
"""Maximum ratio of unpacked to packed size, and the unpacked size that is always allowed."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NAMED_FOLDERS = 8


@dataclass(frozen=True)
class FileListing:
    """The files in a folder or zip archive `root`, with an error for each that must not be opened.

    `files` are by their relative path with slashes, in alphabetical order.
    """

    root: Path
    files: dict[str, File]
    refused: list[InputError]

    def within(self, folder: str) -> dict[str, File]:
        """Return the files in a folder ("." is the root) and below, by their path relative to it.

        Raises:
            InputError: It holds no file.
        """
        prefix = "" if folder in (".", "") else folder.strip("/") + "/"
        files = {n.removeprefix(prefix): f for n, f in self.files.items() if n.startswith(prefix)}
        if not files:
            folders = dict.fromkeys(name.rpartition("/")[0] or "." for name in self.files)
            known = ", ".join(list(folders)[:_NAMED_FOLDERS]) or "none"
            fix = f"Correct the path in the catalog; folders with files: {known}"
            raise InputError(self.root / folder, "there is no such folder, or it is empty", fix)
        return files

    def file(self, name: str) -> File:
        """Return one file; raise an `InputError` if it does not exist."""
        if name not in self.files:
            problem = "there is no such file"
            raise InputError(self.root / name, problem, "Correct the path in the catalog")
        return self.files[name]


def list_files(root: Path) -> FileListing:
    """List the files in a folder or in a zip archive, except hidden ones.

    Symbolic links are followed within the root only, and of several links to one folder only the
    first.

    Raises:
        InputError: There is neither, or the archive is damaged or hostile.
    """
    files: dict[str, File]
    if root.is_dir():
        files, refused = _list_folder(root)
    elif root.is_file():
        members, refused = list_members(root)
        files = {member.path: member for member in members}
    else:
        problem = "there is no such folder or archive"
        raise InputError(root, problem, "Correct the path in the catalog")
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

    `where` is the option or parameter for messages; `example` says what to do without a group.

    Raises:
        InputError: It is not a regular expression, or has no group.
    """
    try:
        expression = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:  # huge counts, deep brackets
        problem = f"'{pattern}' is not a regular expression ({error})"
        raise InputError(where, problem, "Correct it") from error
    if not expression.groups:
        raise InputError(where, f"'{pattern}' has no group in round brackets", example)
    return expression


def list_members(archive: Path) -> tuple[list[ArchiveMember], list[InputError]]:
    """List the files of a zip archive from its directory without unpacking.

    Returns:
        The files that can be read, and an error for each file that must not be read: too large,
        compressed by a suspicious ratio or an unusual method, encrypted, a symbolic link, or with
        a path that leads out of the archive.

    Raises:
        InputError: It is not a zip archive, or its directory contradicts itself.
    """
    try:
        infos = [info for info in open_archive(archive).infolist() if not info.is_dir()]
    except Exception as error:  # zipfile raises anything on damaged bytes, IndexError included
        problem = f"it cannot be read as a zip archive ({error})"
        raise InputError(archive, problem, "Download or pack it again") from error
    if len(infos) > MAX_MEMBERS:
        raise InputError(archive, f"it holds {len(infos)} files", "Split it into several archives")
    if sum(info.compress_size for info in infos) > archive.stat().st_size:
        problem = "its files overlap each other, as those of a zip bomb do"
        raise InputError(archive, problem, "Pack it again from its source")
    members, refused, seen = [], [], set()
    fix = "Pack the archive again without it, or unpack it and give the folder"
    for info in infos:
        member = ArchiveMember(archive, info.filename)
        reason = "its name occurs twice" if info.filename in seen else _find_problem(info)
        seen.add(info.filename)
        if reason:
            refused.append(InputError(member, reason, fix))
        else:
            members.append(member)
    return members, refused


def _find_problem(info: zipfile.ZipInfo) -> str | None:
    """Return the reason why a member must not be read, or None."""
    name, parts = info.filename, info.filename.split("/")
    leads_out = name.startswith("/") or ".." in parts or "\\" in name or ":" in name
    is_long = len(name) > MAX_NAME or any(len(part.encode()) > MAX_NAME_PART for part in parts)
    most = max(RATIO_FREE_BYTES, MAX_RATIO * info.compress_size)
    problems = {
        "its name leads out of the archive": leads_out,
        "its name is not in its simplest form": "" in parts or "." in parts,
        "its name is too long": is_long,
        "it is a symbolic link": stat.S_ISLNK(info.external_attr >> 16),
        "it is encrypted": info.flag_bits & 0x1,
        "its compression method is not deflate": info.compress_type not in _METHODS,
        f"its {info.file_size} bytes are too many": info.file_size > MAX_MEMBER_BYTES,
        f"its {info.file_size} bytes are packed into {info.compress_size}, as in a zip bomb": (
            info.file_size > most
        ),
    }
    return next((problem for problem, applies in problems.items() if applies), None)


def _list_folder(root: Path) -> tuple[dict[str, File], list[InputError]]:
    files: dict[str, File] = {}
    refused: list[InputError] = []
    for path in _walk(root, refused):
        where, problem, fix = str(path).encode(errors="backslashreplace").decode(), "", ""
        if where != str(path):
            problem, fix = "its name is not encoded in UTF-8", "Rename it"
        elif path.is_symlink() and not _stays_within(root, path):
            problem = f"it is a symbolic link that leaves {root}"
            fix = "Copy its target, or give the folder that holds the target as the path"
        elif path.is_file():
            files[path.relative_to(root).as_posix()] = path
        elif path.is_symlink() and not path.exists():
            problem, fix = "it is a symbolic link to nothing", "Restore its target"
        if problem:
            refused.append(InputError(where, problem, fix))
    return files, refused


def _walk(root: Path, refused: list[InputError]) -> Iterator[Path]:
    """Yield all files, and links to folders outside, but nothing hidden.

    An error is added to `refused` for each folder that cannot be listed.
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
