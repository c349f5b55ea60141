"""Folders and zip archives of users, and malicious ones."""

import os
import re
import stat
import struct
import tracemalloc
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.images import GREY, png_bytes, touch_images
from unetflow.core.errors import InputError
from unetflow.io import file_listing
from unetflow.io.file_listing import list_files, list_members, natural_order
from unetflow.io.files import ArchiveMember, file_signature, file_size
from unetflow.io.formats.readers import read_image

PICTURE = png_bytes(2, 1, 8, GREY, b"\0\x07\x09")
LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"


def pack(path, files, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def find_header(content, signature, name):
    """Return where the header of a member begins."""
    length, start = {LOCAL: (26, 30), CENTRAL: (28, 46)}[signature]
    place = -1
    while True:
        place = content.index(signature, place + 1)
        (characters,) = struct.unpack_from("<H", content, place + length)
        if content[place + start : place + start + characters] == name:
            return place


def patch(path, name, *, form, central, local=None):
    """Overwrite a field of a member's header in the directory and of the one before its bytes.

    Args:
        path: The archive.
        name: The member.
        form: A letter of `struct` and the new value.
        central: Where the field lies in the directory's header.
        local: Where it lies in the other header; None leaves that one as it is.
    """
    content = bytearray(path.read_bytes())
    letter, value = form
    for signature, offset in ((CENTRAL, central), (LOCAL, local)):
        if offset is not None:
            place = find_header(content, signature, name.encode())
            struct.pack_into(f"<{letter}", content, place + offset, value)
    path.write_bytes(content)
    return path


def pack_bomb(path, gigabytes=1):
    """Pack zeros so that each one costs a thousandth of a byte."""
    megabyte = bytes(2**20)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(megabyte) + packer.flush(zlib.Z_FULL_FLUSH)
    check_sum = 0
    for _ in range(1024 * gigabytes):
        check_sum = zlib.crc32(megabyte, check_sum)
    pack(path, {"a.png": block * 1024 * gigabytes + packer.flush()})
    patch(path, "a.png", form=("H", zipfile.ZIP_DEFLATED), central=10, local=8)
    patch(path, "a.png", form=("I", check_sum), central=16, local=14)
    patch(path, "a.png", form=("I", 2**30 * gigabytes), central=24, local=22)
    return path


@contextmanager
def little_memory(most=2**20):
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def refusals(archive):
    _, refused = list_members(archive)
    return {error.where.removeprefix(f"{archive}/"): error.problem for error in refused}


def first_member(archive):
    return list_members(archive)[0][0]


class TestNaturalOrder:
    def test_counts(self):
        names = ["a10.png", "a2.png", "a1/b.png", "a1.png", "b1.png"]
        ordered = ["a1.png", "a1/b.png", "a2.png", "a10.png", "b1.png"]
        assert sorted(names, key=natural_order) == ordered

    def test_tells_1_from_01(self):
        names = ["001", "01", "1", "2", "02"]
        assert sorted(names, key=natural_order) == ["001", "01", "1", "02", "2"]

    @given(st.lists(st.integers(0, 10**12), max_size=9))
    def test_of_numbers_is_their_order(self, numbers):
        names = [f"x{number}y" for number in numbers]
        assert sorted(names, key=natural_order) == [f"x{number}y" for number in sorted(numbers)]

    @given(st.lists(st.text(alphabet="aZ.-/_0129é٣²", max_size=6), max_size=6))
    def test_orders_any_names_without_ties(self, names):
        keys = sorted(natural_order(name) for name in set(names))
        assert all(one < other for one, other in pairwise(keys))

    def test_takes_numbers_of_any_length(self):
        long, longer = "1" * 9000, "1" * 9001
        assert sorted([longer, long], key=natural_order) == [long, longer]


class TestFolder:
    def test_is_listed_with_its_subfolders(self, tmp_path):
        touch_images(tmp_path, "b.png", "a/1.png", "a/b/c.TIF", "notes.txt")
        tree = list_files(tmp_path)
        assert list(tree.files) == ["a/1.png", "a/b/c.TIF", "b.png", "notes.txt"]
        assert tree.files["a/1.png"] == tmp_path / "a" / "1.png"
        assert tree.refused == []

    def test_is_listed_without_what_is_hidden(self, tmp_path):
        touch_images(tmp_path, ".DS_Store", ".git/a.png", "a/._1.png", "__MACOSX/a.png", "a/1.png")
        (tmp_path / ".#lock").symlink_to("nobody@nowhere")
        (tmp_path / ".cache").symlink_to("/")
        tree = list_files(tmp_path)
        assert list(tree.files) == ["a/1.png"]
        assert tree.refused == []

    def test_that_is_not_there_is_refused(self, tmp_path):
        with pytest.raises(InputError, match="there is no such folder or archive"):
            list_files(tmp_path / "none")

    def test_below_another_one_has_names_without_it(self, tmp_path):
        touch_images(tmp_path, "a/1.png", "a/b/2.png", "ab/3.png")
        tree = list_files(tmp_path)
        assert list(tree.within("a")) == ["1.png", "b/2.png"]
        assert list(tree.within("a/b/")) == ["2.png"]
        assert list(tree.within(".")) == list(tree.within("")) == list(tree.files)

    def test_that_is_empty_is_refused_with_those_that_are_not(self, tmp_path):
        touch_images(tmp_path, "top.png", "images/1.png", "labels/1.png")
        (tmp_path / "masks").mkdir()
        with pytest.raises(InputError, match=r"folders with files: images, labels, \.") as caught:
            list_files(tmp_path).within("masks")
        assert caught.value.where == str(tmp_path / "masks")

    def test_gives_a_file_by_its_name_or_refuses(self, tmp_path):
        touch_images(tmp_path, "a/1.png")
        tree = list_files(tmp_path)
        assert tree.file("a/1.png") == tmp_path / "a/1.png"
        with pytest.raises(InputError, match="there is no such file"):
            tree.file("a")

    def test_with_a_name_that_is_not_utf8_is_listed_without_it(self, tmp_path):
        touch_images(tmp_path, "a.png")
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe4.png")).write_bytes(b"")
        tree = list_files(tmp_path)
        assert list(tree.files) == ["a.png"]
        assert [str(error) for error in tree.refused] == [
            f"{tmp_path}/\\udce4.png: its name is not encoded in UTF-8. Rename it."
        ]

    def test_with_a_named_pipe_does_not_block(self, tmp_path):
        os.mkfifo(tmp_path / "a.png")
        assert list_files(tmp_path).files == {}


def test_a_folder_that_must_not_be_read_is_named(tmp_path, monkeypatch):
    touch_images(tmp_path, "open/1.png", "closed/2.png")
    whole = os.scandir

    def scandir(folder):
        if Path(folder).name == "closed":
            raise PermissionError(13, "Permission denied", str(folder))
        return whole(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    tree = list_files(tmp_path)
    assert list(tree.files) == ["open/1.png"]
    (refused,) = tree.refused
    assert refused.where == str(tmp_path / "closed")
    assert "cannot be listed (Permission denied)" in refused.problem


class TestSymbolicLink:
    @pytest.fixture
    def root(self, tmp_path):
        touch_images(tmp_path, "outside/secret.png", "root/a/1.png")
        return tmp_path / "root"

    def refused(self, root):
        tree = list_files(root)
        assert list(tree.files) == ["a/1.png"]
        return [(error.where, error.problem) for error in tree.refused]

    def test_to_a_file_of_the_tree_is_followed(self, root):
        (root / "link.png").symlink_to(root / "a" / "1.png")
        (root / "a" / "relative.png").symlink_to("1.png")
        tree = list_files(root)
        assert list(tree.files) == ["a/1.png", "a/relative.png", "link.png"]
        assert tree.refused == []

    def test_to_a_folder_of_the_tree_is_followed(self, root):
        (root / "b").symlink_to(root / "a")
        tree = list_files(root)
        assert list(tree.files) == ["a/1.png", "b/1.png"]
        assert tree.refused == []

    def test_to_a_folder_above_or_to_the_same_one_again_is_refused(self, root):
        (root / "a" / "round").symlink_to(root)
        (root / "b").symlink_to(root / "a")
        (root / "c").symlink_to(root / "a")
        tree = list_files(root)
        assert len(tree.files) == 2
        problem = "it is a symbolic link to a folder that is already listed"
        assert {error.problem for error in tree.refused} == {problem}
        assert str(root / "a" / "round") in {error.where for error in tree.refused}

    @pytest.mark.parametrize("target", ["outside/secret.png", "outside", "outside/none.png"])
    def test_that_leaves_the_tree_is_refused(self, root, target):
        (root / "link").symlink_to(root.parent / target)
        problem = f"it is a symbolic link that leaves {root}"
        assert self.refused(root) == [(str(root / "link"), problem)]

    def test_that_leaves_the_tree_by_another_link_is_refused(self, root):
        (root / "first").symlink_to(root.parent / "outside")
        (root / "second.png").symlink_to(root / "first" / "secret.png")
        assert [where for where, _ in self.refused(root)] == [
            str(root / "second.png"),
            str(root / "first"),
        ]

    @pytest.mark.parametrize("target", ["none.png", "link.png"], ids=["dangling", "loop"])
    def test_to_nothing_is_refused(self, root, target):
        (root / "link.png").symlink_to(root / target)
        problem = "it is a symbolic link to nothing"
        assert self.refused(root) == [(str(root / "link.png"), problem)]

    def test_may_be_the_root(self, root):
        (root.parent / "link").symlink_to(root)
        assert self.refused(root.parent / "link") == []


class TestArchive:
    def test_is_listed_as_a_folder_is(self, tmp_path):
        files = {"b.png": b"", "a/": b"", "a/10.png": b"", "a/2.png": b"", "é/ü.png": b""}
        hidden = {"__MACOSX/a/._1.png": b"", ".DS_Store": b"", "a/.x/1.png": b""}
        tree = list_files(pack(tmp_path / "a.zip", files | hidden))
        assert list(tree.files) == ["a/10.png", "a/2.png", "b.png", "é/ü.png"]
        assert list(tree.within("a")) == ["10.png", "2.png"]
        assert tree.refused == []

    @pytest.mark.parametrize("name", ["x/a.ome.tif", "a", "x/.a", "x.y/a."])
    def test_names_its_files_as_a_path_does(self, tmp_path, name):
        member = ArchiveMember(tmp_path / "a.zip", name)
        path = Path(name)
        assert (member.name, member.stem, member.suffix) == (path.name, path.stem, path.suffix)
        assert str(member) == f"{tmp_path}/a.zip/{name}"

    @pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    def test_gives_the_bytes_that_were_packed(self, tmp_path, compression):
        content = {"a": bytes(range(256)) * 999, "b": b""}
        members, _ = list_members(pack(tmp_path / "a.zip", content, compression))
        assert {member.path: member.read_bytes() for member in members} == content
        assert [file_size(member) for member in members] == [256 * 999, 0]
        with members[0].open("rb") as file:
            assert file.read(3) == b"\0\1\2"

    def test_is_read_by_several_threads(self, tmp_path):
        content = {f"{n}.bin": np.random.default_rng(n).bytes(50_000) for n in range(40)}
        members, _ = list_members(pack(tmp_path / "a.zip", content, zipfile.ZIP_DEFLATED))
        with ThreadPoolExecutor(4) as executor:
            read = list(executor.map(ArchiveMember.read_bytes, members * 3))
        assert read == list(content.values()) * 3

    def test_is_opened_again_when_it_has_changed(self, tmp_path):
        path = pack(tmp_path / "a.zip", {"a": b"old"})
        member = first_member(path)
        before = file_signature(member)
        assert member.read_bytes() == b"old"
        pack(path, {"a": b"new!", "b": b""})
        assert member.read_bytes() == b"new!"
        assert file_signature(member) != before

    def test_has_signatures_that_change_with_the_bytes_only(self, tmp_path):
        signatures = [
            file_signature(first_member(pack(tmp_path / f"{n}.zip", {"a": content}, compression)))
            for n, (content, compression) in enumerate([(b"abc", 0), (b"abc", 8), (b"abd", 0)])
        ]
        assert signatures[0] == signatures[1] != signatures[2]

    def test_inside_an_archive_is_not_opened(self, tmp_path):
        inner = pack(tmp_path / "inner.zip", {"a.png": PICTURE}).read_bytes()
        tree = list_files(pack(tmp_path / "outer.zip", {"inner.zip": inner, "b.png": inner}))
        assert list(tree.files) == ["b.png", "inner.zip"]
        with pytest.raises(InputError, match="its content is a zip archive, though its name ends"):
            read_image(tree.files["b.png"])

    @pytest.mark.parametrize("content", [b"", b"no archive at all", PICTURE, b"PK\x05\x06"])
    def test_that_is_none_is_refused(self, tmp_path, content):
        (tmp_path / "a.zip").write_bytes(content)
        with pytest.raises(InputError, match="cannot be read as a zip archive"):
            list_files(tmp_path / "a.zip")

    def test_that_is_cut_anywhere_is_refused(self, tmp_path):
        content = pack(tmp_path / "a.zip", {"a.png": PICTURE, "b.png": PICTURE}).read_bytes()
        for length in range(len(content)):
            (tmp_path / "a.zip").write_bytes(content[:length])
            with pytest.raises(InputError, match="Download or pack it again"):
                list_files(tmp_path / "a.zip")

    def test_with_too_many_files_is_refused(self, tmp_path, monkeypatch):
        path = pack(tmp_path / "a.zip", {"folder/": b"", "a": b"", "b": b"", "c": b""})
        monkeypatch.setattr(file_listing, "MAX_MEMBERS", 3)
        assert len(list_files(path).files) == 3
        monkeypatch.setattr(file_listing, "MAX_MEMBERS", 2)
        with pytest.raises(InputError, match="it holds 3 files"):
            list_files(path)

    def test_whose_files_overlap_is_refused(self, tmp_path):
        path = pack(tmp_path / "a.zip", {"a": bytes(5000), "b": b"", "c": b""})
        for name in "bc":  # both lead to the bytes of the first one
            patch(path, name, form=("I", 5000), central=20)
            patch(path, name, form=("I", 5000), central=24)
            patch(path, name, form=("I", 0), central=42)
        with pytest.raises(InputError, match="overlap each other, as those of a zip bomb"):
            list_files(path)


class TestMember:
    @pytest.mark.parametrize(
        "name",
        ["../x.png", "a/../../x.png", "/x.png", "C:\\x.png", "C:x.png", "..\\x.png", "a\\x.png"],
    )
    def test_that_leads_out_of_the_archive_is_refused(self, tmp_path, name):
        path = pack(tmp_path / "a.zip", {"a.png": b"", name: b""})
        assert refusals(path) == {name: "its name leads out of the archive"}
        assert list(list_files(path).files) == ["a.png"]

    @pytest.mark.parametrize("name", ["./a.png", "a//b.png", "a/./b.png"])
    def test_with_a_name_that_has_two_forms_is_refused(self, tmp_path, name):
        path = pack(tmp_path / "a.zip", {name: b""})
        assert refusals(path) == {name: "its name is not in its simplest form"}

    @pytest.mark.parametrize("name", ["a" * 256, "é" * 128, "/".join(["abc"] * 600)])
    def test_with_a_name_that_no_disk_takes_is_refused(self, tmp_path, name):
        assert refusals(pack(tmp_path / "a.zip", {name: b""})) == {name: "its name is too long"}

    def test_with_a_long_name_is_read(self, tmp_path):
        name = "/".join(["a" * 255] * 3)
        assert first_member(pack(tmp_path / "a.zip", {name: b"x"})).read_bytes() == b"x"

    def test_whose_name_is_no_text_is_refused_with_its_archive(self, tmp_path):
        path = pack(tmp_path / "a.zip", {"é.png": b""})
        path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xfe"))
        with pytest.raises(InputError, match="cannot be read as a zip archive"):
            list_files(path)

    def test_that_occurs_twice_is_listed_once(self, tmp_path):
        path = pack(tmp_path / "a.zip", {"a.png": b"first", "b.png": b"second"})
        path.write_bytes(path.read_bytes().replace(b"b.png", b"a.png"))
        assert refusals(path) == {"a.png": "its name occurs twice"}
        assert [member.path for member in list_members(path)[0]] == ["a.png"]

    def test_that_is_a_symbolic_link_is_refused(self, tmp_path):
        link = zipfile.ZipInfo("a.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr(link, "/etc/passwd")
        assert refusals(tmp_path / "a.zip") == {"a.png": "it is a symbolic link"}

    def test_that_is_encrypted_is_refused(self, tmp_path):
        path = pack(tmp_path / "a.zip", {"a.png": PICTURE})
        patch(path, "a.png", form=("H", 1), central=8, local=6)
        assert refusals(path) == {"a.png": "it is encrypted"}

    @pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 9])
    def test_with_an_unusual_compression_is_refused(self, tmp_path, compression):
        path = pack(tmp_path / "a.zip", {"a.png": PICTURE})
        patch(path, "a.png", form=("H", compression), central=10, local=8)
        assert refusals(path) == {"a.png": "its compression method is not deflate"}

    def test_that_is_too_large_is_refused(self, tmp_path, monkeypatch):
        path = pack(tmp_path / "a.zip", {"a.png": bytes(1001), "b.png": bytes(1000)})
        monkeypatch.setattr(file_listing, "MAX_MEMBER_BYTES", 1000)
        assert refusals(path) == {"a.png": "its 1001 bytes are too many"}

    def test_that_is_a_zip_bomb_is_refused_unopened(self, tmp_path):
        path = pack_bomb(tmp_path / "a.zip")
        assert path.stat().st_size < 2**30 / 1000
        with little_memory():
            problem = refusals(path)["a.png"]
        assert re.fullmatch(
            r"its 1073741824 bytes are packed into 10\d{5}, as in a zip bomb", problem
        )

    def test_with_a_high_compression_ratio_but_small_is_read(self, tmp_path):
        path = pack(tmp_path / "a.zip", {"a": bytes(10**6)}, zipfile.ZIP_DEFLATED)
        assert path.stat().st_size < 10**6 / file_listing.MAX_RATIO
        assert first_member(path).read_bytes() == bytes(10**6)

    def test_that_hides_its_size_is_unpacked_to_its_declared_size_only(self, tmp_path):
        path = patch(pack_bomb(tmp_path / "a.zip"), "a.png", form=("I", 1000), central=24)
        assert refusals(path) == {}
        with (
            little_memory(2 * path.stat().st_size),
            pytest.raises(InputError, match=r"a\.png: it cannot be read \(BadZipFile: Bad CRC"),
        ):
            read_image(first_member(path))

    @pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    def test_with_a_flipped_bit_is_refused_by_its_check_sum(self, tmp_path, compression):
        path = pack(tmp_path / "a.zip", {"a.png": PICTURE * 9}, compression)
        content = bytearray(path.read_bytes())
        content[45] ^= 4
        path.write_bytes(content)
        with pytest.raises(InputError, match="it cannot be read") as caught:
            read_image(first_member(path))
        assert caught.value.where == f"{path}/a.png"
        assert caught.value.fix == "Download or pack the archive again"


def test_damaged_archives_give_bytes_or_an_input_error(tmp_path):
    chance = np.random.default_rng(0)
    files = {"a/1.png": PICTURE, "é.png": PICTURE * 9, "long.txt": b"abc" * 99}
    whole = pack(tmp_path / "a.zip", files, zipfile.ZIP_DEFLATED).read_bytes()
    ends = {"read": 0, "refused": 0}
    for _ in range(500):
        content = bytearray(whole)
        for place in chance.integers(len(content), size=chance.integers(1, 4)):
            content[place] = chance.integers(256)
        (tmp_path / "a.zip").write_bytes(content)
        try:
            for member in list_members(tmp_path / "a.zip")[0]:
                assert len(member.read_bytes()) <= file_size(member)
            ends["read"] += 1
        except InputError:
            ends["refused"] += 1
    assert min(ends.values()) > 50
