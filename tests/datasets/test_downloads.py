"""Downloads, against a server of our own on this machine."""

import gc
import hashlib
import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import numpy as np
import pytest
from kedro.io import DatasetError
from PIL import Image

from unetflow.datasets import SourceDataset, SourceImagesDataset, downloads
from unetflow.datasets.downloads import download
from unetflow.imaging.errors import InputError


def archive_bytes() -> bytes:
    """Return a zip archive with two annotated images and one without masks."""
    picture, buffer = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.full((4, 5), 9, np.uint8)).save(picture, format="PNG")
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("a", "b", "c"):
            archive.writestr(f"{name}/images/{name}.png", picture.getvalue())
        for name in ("a/masks/1.png", "b/masks/1.png", "b/masks/2.png"):
            archive.writestr(name, picture.getvalue())
    return buffer.getvalue()


CONTENT = archive_bytes()
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves the archive whole, in half, or not at all; counts the requests."""

    requested: ClassVar[list[str]]

    def do_GET(self) -> None:
        self.requested.append(self.path)
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/slow":
            threading.Event().wait(2)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path == "/half" else CONTENT)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server():
    class Counting(Handler):
        requested: ClassVar[list[str]] = []

    with ThreadingHTTPServer(("127.0.0.1", 0), Counting) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", Counting.requested
        running.shutdown()
        thread.join()


def test_a_file_is_fetched_once_with_a_progress_bar(tmp_path, server, capsys):
    url, requested = server
    path = tmp_path / "new" / "data.zip"
    for _ in range(2):
        download(path, {"url": f"{url}/data.zip", "sha256": DIGEST.upper()})
    assert path.read_bytes() == CONTENT
    assert requested == ["/data.zip"]
    assert "100%" in capsys.readouterr().err
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("page", "digest", "problem"),
    [
        ("data.zip", "0" * 64, "is not the one with SHA-256 0000"),
        ("half", DIGEST, "the transfer failed"),
        ("missing", DIGEST, r"the transfer failed \(HTTPError: 404"),
    ],
)
def test_nothing_is_left_of_a_transfer_that_went_wrong(tmp_path, server, page, digest, problem):
    with pytest.raises(InputError, match=problem) as caught:
        download(tmp_path / "data.zip", {"url": f"{server[0]}/{page}", "sha256": digest})
    assert caught.value.where == f"{server[0]}/{page}"
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_says_nothing_is_given_up(tmp_path, server, monkeypatch):
    monkeypatch.setattr(downloads, "_TIMEOUT_SECONDS", 0.2)
    with pytest.raises(InputError, match="the transfer failed"):
        download(tmp_path / "data.zip", {"url": f"{server[0]}/slow", "sha256": DIGEST})
    assert list(tmp_path.iterdir()) == []


# urllib3 leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_server_that_is_not_there(tmp_path, server):
    url, _ = server
    closed = url.rpartition(":")[0] + ":1"
    with pytest.raises(InputError, match=r"the transfer failed .*Check the address"):
        download(tmp_path / "data.zip", {"url": closed, "sha256": DIGEST})
    gc.collect()


def test_another_file_at_the_place_is_neither_used_nor_overwritten(tmp_path, server):
    (tmp_path / "data.zip").write_bytes(b"mine")
    with pytest.raises(InputError, match="Delete the file to fetch it again"):
        download(tmp_path / "data.zip", {"url": f"{server[0]}/data.zip", "sha256": DIGEST})
    assert (tmp_path / "data.zip").read_bytes() == b"mine"
    assert server[1] == []


@pytest.mark.parametrize(
    ("source", "where"),
    [
        ({"url": "http://x"}, "download"),
        ({"url": "file:///etc/passwd", "sha256": DIGEST}, "download.url"),
        ({"url": "http://x", "sha256": "abc"}, "download.sha256"),
        ({"url": "http://x", "sha256": DIGEST, "md5": "1"}, "download"),
    ],
)
def test_wrong_parameters_are_refused(tmp_path, source, where):
    with pytest.raises(InputError) as caught:
        download(tmp_path / "data.zip", source)
    assert caught.value.where == where


def test_an_archive_is_fetched_and_read_in_place(tmp_path, server):
    source = {
        "path": str(tmp_path / "data.zip"),
        "download": {"url": f"{server[0]}/data.zip", "sha256": DIGEST},
        "layout": "objects",
    }
    pairing = SourceDataset(**source).load()
    assert [(pair.id, len(pair.annotation.files)) for pair in pairing.pairs] == [("a", 1), ("b", 2)]
    assert list(pairing.unlabelled) == ["c"]
    everything = SourceImagesDataset(**source).load()
    assert list(everything) == ["a", "b", "c"]
    np.testing.assert_array_equal(everything["c"](), np.full((4, 5, 1), 9, np.uint8))
    assert list(SourceImagesDataset(**source, unlabelled=True).load()) == ["c"]
    assert list(tmp_path.iterdir()) == [tmp_path / "data.zip"]
    Image.new("L", (3, 2)).save(tmp_path / "other.png")
    (tmp_path / "data.zip").unlink()
    assert list(SourceImagesDataset(**source, instead=str(tmp_path)).load()) == ["other"]


def test_options_without_a_layout_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="gives options without a layout"):
        SourceDataset(path=str(tmp_path), images="x").load()
