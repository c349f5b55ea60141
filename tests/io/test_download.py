import gc
import hashlib
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from kedro.io import DatasetError
from PIL import Image

from unetflow.core.errors import InputError
from unetflow.core.hashing import sha256
from unetflow.datasets.sources import SourceDataset
from unetflow.io import download as downloads
from unetflow.io.download import download

CONTENT = bytes(range(256)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    """Serves `/data`, `/broken` (half of it), `/hang` (nothing), `/stall` (half, then nothing)."""

    def do_GET(self):
        self.server.requests.append(self.path)
        kind = self.path.strip("/")
        if kind == "gone":
            self.send_error(404)
            return
        if kind == "hang":
            self.server.released.wait(10)
            return
        content = self.server.content
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content if kind == "data" else content[: len(content) // 2])
        if kind == "stall":
            self.server.released.wait(10)

    def log_message(self, *_):
        """Leave standard error to what is tested."""


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.content, server.requests, server.released = CONTENT, [], threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_warnings_after_the_test():
    """Let what a test has left open warn now, and so fail it."""
    gc.freeze()  # only what the test makes is searched: all else takes a fifth of a second
    yield
    gc.collect()
    gc.unfreeze()


def fetch(server, path, kind="data", digest=DIGEST):
    download(path, {"url": f"{server.url}/{kind}", "sha256": digest})


def test_a_file_is_fetched_once_with_a_progress_bar(server, tmp_path, capsys):
    path = tmp_path / "new" / "data.bin"
    fetch(server, path, digest=DIGEST.upper())
    assert path.read_bytes() == CONTENT
    shown = capsys.readouterr()
    assert "100%" in shown.err
    assert "10.2k" in shown.err
    assert "100%" not in shown.out
    fetch(server, path)
    assert server.requests == ["/data"]
    assert list(tmp_path.rglob("[!.]*")) == [path.parent, path]


def test_another_file_at_the_place_is_neither_taken_nor_replaced(server, tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(b"mine")
    with pytest.raises(InputError, match="Delete the file to fetch it again") as caught:
        fetch(server, path)
    assert caught.value.where == str(path)
    assert hashlib.sha256(b"mine").hexdigest() in caught.value.problem
    assert path.read_bytes() == b"mine"
    assert server.requests == []


def test_a_file_that_has_not_changed_is_verified_once(server, tmp_path, monkeypatch):
    path, read = tmp_path / "data.bin", []
    path.write_bytes(CONTENT)
    monkeypatch.setattr(downloads, "sha256", lambda file: read.append(file) or sha256(file))
    for _ in range(3):
        fetch(server, path)
    assert read == [path]
    path.write_bytes(CONTENT[::-1])
    with pytest.raises(InputError, match="its SHA-256 is"):
        fetch(server, path)
    with pytest.raises(InputError, match="Delete the file"):
        fetch(server, path, digest="0" * 64)


def test_a_folder_at_the_place_is_refused(server, tmp_path):
    with pytest.raises(InputError, match="it is a folder, but `download` fetches a file"):
        fetch(server, tmp_path)
    assert server.requests == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "digest", "problem"),
    [
        ("data", "0" * 64, f"has another SHA-256 than {'0' * 64}, and was discarded"),
        ("broken", DIGEST, "the transfer failed"),
        ("broken", hashlib.sha256(CONTENT[: len(CONTENT) // 2]).hexdigest(), "the transfer failed"),
        ("gone", DIGEST, "404"),
        ("hang", DIGEST, "ReadTimeout"),
        ("stall", DIGEST, "the transfer failed .*timed out"),
    ],
)
def test_what_goes_wrong_leaves_nothing_behind(
    server, tmp_path, monkeypatch, kind, digest, problem
):
    monkeypatch.setattr(downloads, "_TIMEOUT_SECONDS", 0.3)
    with pytest.raises(InputError, match=problem) as caught:
        fetch(server, tmp_path / "data.bin", kind, digest)
    assert caught.value.where == f"{server.url}/{kind}"
    assert list(tmp_path.iterdir()) == []


def test_a_transfer_can_be_tried_again(server, tmp_path):
    path = tmp_path / "data.bin"
    with pytest.raises(InputError):
        fetch(server, path, "broken")
    fetch(server, path)
    assert path.read_bytes() == CONTENT


def test_a_server_that_is_not_there_is_named(server, tmp_path):
    url = server.url
    server.shutdown()
    server.server_close()
    with pytest.raises(InputError, match=r"the transfer failed \(ConnectionError") as caught:
        download(tmp_path / "data.bin", {"url": f"{url}/data", "sha256": DIGEST})
    assert caught.value.where == f"{url}/data"
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "data.bin"
    with pytest.raises(InputError, match="it cannot be written") as caught:
        fetch(server, path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize(
    ("source", "where"),
    [
        ({"url": "http://a/b"}, "download"),
        ({"sha256": DIGEST}, "download"),
        ({"url": "http://a/b", "sha256": DIGEST, "md5": "0"}, "download"),
        ({}, "download"),
        ("http://a/b", "download"),
        ({"url": "ftp://a/b", "sha256": DIGEST}, "download.url"),
        ({"url": "a/b", "sha256": DIGEST}, "download.url"),
        ({"url": "http://a b", "sha256": DIGEST}, "download.url"),
        ({"url": None, "sha256": DIGEST}, "download.url"),
        ({"url": "http://a/b", "sha256": DIGEST[1:]}, "download.sha256"),
        ({"url": "http://a/b", "sha256": f"sha256:{DIGEST}"}, "download.sha256"),
        ({"url": "http://a/b", "sha256": None}, "download.sha256"),
    ],
)
def test_wrong_values_are_refused(tmp_path, source, where):
    with pytest.raises(InputError) as caught:
        download(tmp_path / "data.bin", source)
    assert caught.value.where == where


def test_an_archive_is_read_after_it_has_come(server, tmp_path):
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        for name in ("a/images/a.png", "a/masks/1.png", "a/masks/2.png"):
            with archive.open(name, "w") as member:
                Image.new("L", (4, 3), 255).save(member, format="PNG")
    server.content = (tmp_path / "made.zip").read_bytes()
    path = tmp_path / "raw" / "cells.zip"
    source = {
        "url": f"{server.url}/data",
        "sha256": hashlib.sha256(server.content).hexdigest(),
    }
    dataset = SourceDataset(path=str(path), layout="objects", download=source)
    assert not dataset.exists()
    for _ in range(2):
        (pair,) = dataset.load().pairs
        assert pair.id == "a"
        assert [str(file) for file in pair.annotation.files] == [
            f"{path}/a/masks/{n}.png" for n in (1, 2)
        ]
    assert server.requests == ["/data"]
    assert list(path.parent.glob("[!.]*")) == [path]


def test_a_failed_transfer_stops_the_loading(server, tmp_path):
    source = {"url": f"{server.url}/gone", "sha256": DIGEST}
    dataset = SourceDataset(path=str(tmp_path / "a.zip"), layout="objects", download=source)
    with pytest.raises(DatasetError, match="Check the address and the network"):
        dataset.load()
