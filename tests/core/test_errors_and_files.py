import hashlib
import os
from types import SimpleNamespace

import pytest

from unetflow.core import atomic
from unetflow.core.atomic import atomic_write
from unetflow.core.errors import DeclarationError, InputError, restore_error
from unetflow.core.hashing import sha256
from unetflow.io.files import file_signature, file_size, require_file


def test_error_has_place_problem_and_fix():
    error = InputError("mask.png", "it is empty", "Export it again")
    assert str(error) == "mask.png: it is empty. Export it again."
    assert (error.where, error.problem, error.fix) == (
        "mask.png",
        "it is empty",
        "Export it again",
    )


def test_error_is_a_value_error_and_names_paths_as_text(tmp_path):
    error = InputError(tmp_path, "a", "b")
    assert isinstance(error, ValueError)
    assert error.where == str(tmp_path)


@pytest.mark.parametrize("kind", [InputError, DeclarationError])
def test_error_is_restored_from_its_parts(kind):
    error = kind("mask.png", "it is empty", "Export it again")
    restored = restore_error(error.kind, error.where, error.problem, error.fix)
    assert type(restored) is kind
    assert str(restored) == str(error)


def test_fix_follows_a_problem_of_several_lines_on_a_separate_line():
    assert str(InputError("a", "wrong:\n  b\n", "Mend it")) == "a: wrong:\n  b\nMend it."


def test_replacing_writes_a_new_file_and_makes_missing_folders(tmp_path):
    path = tmp_path / "deep" / "er" / "a.txt"
    with atomic_write(path) as temporary:
        temporary.write_bytes(b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_replacing_swaps_the_old_file_only_when_the_block_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    with atomic_write(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_temporary_file_is_hidden_in_the_same_folder_with_the_same_ending(tmp_path):
    with atomic_write(tmp_path / "image.ome.tif") as temporary:
        temporary.write_bytes(b"")
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        assert temporary.name.endswith(".image.ome.tif")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_replacing_leaves_the_old_bytes_and_nothing_else_when_the_block_raises(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")

    def write_half():
        with atomic_write(path) as temporary:
            temporary.write_bytes(b"half of the n")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_replacing_raises_when_the_block_writes_nothing_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    with pytest.raises(FileNotFoundError), atomic_write(path):
        pass
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_replacing_removes_the_temporary_file_when_the_move_fails(tmp_path):
    path = tmp_path / "a.txt"
    path.mkdir()
    with pytest.raises(OSError, match="directory"), atomic_write(path) as temporary:
        temporary.write_bytes(b"new")
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_file_do_not_share_a_temporary_path(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_write(path) as first, atomic_write(path) as second:
        assert first != second
        first.write_bytes(b"first")
        second.write_bytes(b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_file_is_synced_before_the_move_and_its_folder_after_it(tmp_path, monkeypatch):
    steps = []
    names = {}

    def remember_open(path, flags):
        descriptor = os.open(path, flags)
        names[descriptor] = "folder" if path.is_dir() else "file"
        return descriptor

    fake = SimpleNamespace(
        name="posix",
        O_RDONLY=os.O_RDONLY,
        open=remember_open,
        close=os.close,
        fsync=lambda descriptor: steps.append(f"sync {names[descriptor]}"),
        replace=lambda old, new: (steps.append("move"), os.replace(old, new)),
    )
    monkeypatch.setattr(atomic, "os", fake)
    with atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_bytes(b"new")
    assert steps == ["sync file", "move", "sync folder"]


def test_the_new_name_need_not_be_on_the_disk_where_another_file_follows(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(atomic, "_sync", lambda path: synced.append(path.suffix))
    for sync_folder in (True, False):
        with atomic_write(tmp_path / "a.txt", sync_folder=sync_folder) as temporary:
            temporary.write_bytes(b"new")
    assert synced == [".txt", "", ".txt"]


def test_on_windows_no_folder_is_opened_and_the_file_is_opened_for_writing(tmp_path, monkeypatch):
    opened = []

    def remember_open(path, flags):
        opened.append((path.is_dir(), flags))
        return os.open(path, flags)

    fake = SimpleNamespace(
        name="nt",
        O_RDWR=os.O_RDWR,
        open=remember_open,
        close=os.close,
        fsync=os.fsync,
        replace=os.replace,
    )
    monkeypatch.setattr(atomic, "os", fake)
    with atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_bytes(b"new")
    assert opened == [(False, os.O_RDWR)]
    assert (tmp_path / "a.txt").read_bytes() == b"new"


def test_sha256_of_known_bytes(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    path.write_bytes(b"x" * 300_000)
    assert sha256(path) == hashlib.sha256(b"x" * 300_000).hexdigest()


def test_size_and_signature_of_a_file_change_with_it(tmp_path):
    path = tmp_path / "a"
    signatures = []
    for content, seconds in ((b"abc", 5), (b"abcd", 5), (b"abcd", 6), (b"abcd", 6)):
        path.write_bytes(content)
        os.utime(path, (seconds, seconds))
        signatures.append(file_signature(path))
        assert file_size(path) == len(content)
    assert signatures[0] != signatures[1] != signatures[2] == signatures[3]


def test_a_file_of_an_earlier_stage_is_required(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    require_file(tmp_path / "a")
    for missing in (tmp_path, tmp_path / "b"):
        with pytest.raises(InputError, match="Run the stage that writes it first"):
            require_file(missing)
