"""Downloads with a known digest."""

import contextlib
import logging
import re
from pathlib import Path
from typing import Any

from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError
from unetflow.core.hashing import sha256
from unetflow.io.files import file_signature

_log = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 30


def download(path: Path, source: dict[str, Any]) -> None:
    """Download a file unless it is there, with a progress bar, and verify its digest.

    The file appears at its place only when it is complete and its digest is right. `source` has
    the `url` (http or https) and `sha256`, the file's digest in hexadecimal.

    Raises:
        InputError: A value is missing or wrong, the transfer failed, or the digest is another one.
    """
    url, digest = _check(source)
    if path.is_dir():
        problem = "it is a folder, but `download` fetches a file"
        raise InputError(path, problem, "Give the file's path, or remove `download`")
    if path.is_file():
        _verify(path, digest)
        return
    _log.info("Fetching %s", url)
    _fetch(url, digest, path)


def _verify(path: Path, digest: str) -> None:
    """Raise an error if a file has another digest; an unchanged file is not read again."""
    note = path.with_name(f".{path.name}.verified")
    verified = f"{digest} {file_signature(path)}"
    if note.is_file() and note.read_text(encoding="utf-8", errors="replace") == verified:
        return
    found = sha256(path)
    if found != digest:
        problem = f"its SHA-256 is {found}, but the catalog's `download` says {digest}"
        fix = "Delete the file to fetch it again, or correct `download.sha256`"
        raise InputError(path, problem, fix)
    # Without the note, in a read-only folder, the file is read again.
    with contextlib.suppress(OSError), atomic_write(note) as temporary:
        temporary.write_text(verified, encoding="utf-8")


def _fetch(url: str, digest: str, path: Path) -> None:
    # Imported here, since it takes a fraction of a second.
    import pooch
    from requests import RequestException

    pooch.get_logger().setLevel(logging.WARNING)  # it repeats the message of the caller
    fetch = pooch.HTTPDownloader(progressbar=True, timeout=_TIMEOUT_SECONDS)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(
            url, known_hash=f"sha256:{digest}", fname=path.name, path=path.parent, downloader=fetch
        )
    except RequestException as error:
        if error.response is not None:
            error.response.close()
        problem = f"the transfer failed ({type(error).__name__}: {error})"
        fix = "Check the address and the network, then run again"
        raise InputError(url, problem, fix) from error
    except OSError as error:
        problem = f"it cannot be written ({error})"
        raise InputError(path, problem, "Make room, or choose another `path`") from error
    except ValueError as error:
        if "hash" not in str(error):
            raise
        problem = f"the downloaded file has another SHA-256 than {digest}, and was discarded"
        fix = "Run again; if that does not help, ask the file's publisher for its digest"
        raise InputError(url, problem, fix) from error


def _check(source: dict[str, Any]) -> tuple[str, str]:
    given = sorted(source) if isinstance(source, dict) else []
    if given != ["sha256", "url"]:
        problem = f"it has {', '.join(given) or 'no keys'}"
        raise InputError("download", problem, "Give `url` and `sha256`")
    url, digest = str(source["url"]), str(source["sha256"]).lower()
    if not re.fullmatch(r"https?://\S+", url):
        raise InputError("download.url", f"'{url}' is not a web address", "Begin it with https://")
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        fix = "Give 64 hexadecimal digits, as the tool `sha256sum` prints them"
        raise InputError("download.sha256", f"'{digest}' is not a SHA-256 digest", fix)
    return url, digest
