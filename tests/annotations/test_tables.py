import pytest

from unetflow.annotations.layouts.rle_table import find_rle_table
from unetflow.annotations.records import Pairing
from unetflow.annotations.split_table import SplitTable, apply_split_table
from unetflow.annotations.tables import read_columns
from unetflow.core.errors import InputError
from unetflow.io.file_listing import list_files


def write(folder, data):
    path = folder / "t.csv"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["no mark", "byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["Unix", "Windows"])
def test_columns_are_texts_in_the_requested_order(tmp_path, mark, end):
    lines = ["id,b,Größe", "007,NA,1.50", 'x,"a, b",', "y"]
    path = write(tmp_path, mark + (end.join(lines) + end).encode())
    expected = [["1.50", "", ""], ["007", "x", "y"], ["NA", "a, b", ""]]
    assert read_columns(path, ["Größe", "id", "b"]) == expected


def test_white_space_around_names_and_values_is_removed(tmp_path):
    path = write(tmp_path, b" id ,\tb\n 1 ,two words \n")
    assert read_columns(path, ["id", " b "]) == [["1"], ["two words"]]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("text", ["id,b\nMüller,1\n", "id,Größe,b\nx,1,2\n"])
def test_another_encoding_is_refused(tmp_path, encoding, text):
    path = write(tmp_path, text.encode(encoding))
    with pytest.raises(InputError, match=r"it is not written in UTF-8.*\. Save it as UTF-8\.") as e:
        read_columns(path, ["id", "b"])
    assert e.value.where == str(path)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("id;b\nx;1\n", "semicolons"),
        ("id;b\nx;1,5\ny;2,5\n", "semicolons"),
        ("id;b\nx;1,5\ny;2,5,5\n", "semicolons"),
        ("id\tb\nx\t1\n", "tabs"),
    ],
)
def test_another_separator_is_refused(tmp_path, text, word):
    path = write(tmp_path, text.encode())
    with pytest.raises(InputError, match=f"{word} separate its columns") as caught:
        read_columns(path, ["id", "b"])
    assert caught.value.fix == "Separate its columns by commas"


def test_other_separators_may_stand_in_values_and_names(tmp_path):
    path = write(tmp_path, b"id;old,b\na;b,1\tx\n")
    assert read_columns(path, ["id;old", "b"]) == [["a;b"], ["1\tx"]]


@pytest.mark.parametrize(
    ("data", "column", "problem"),
    [
        (b"id,b\n", "c", "it has no column 'c'. Its columns: 'id', 'b'"),
        (b"id,b\n", "", "it has no column ''"),
        (b"id,,b\n", "", "it has no column ''"),
        (b"id, id,b\n", "id", "it has more than one column 'id'"),
        (b"id\n1,2\n", "id", "its rows have more fields than its header"),
        (b"id,b\n1,2\n1,2,3\n", "id", "it is not a CSV table"),
        (b'id,b\n"1,2\n', "id", "it is not a CSV table"),
        (b"", "id", "it is not a CSV table"),
        (b"\n\n", "id", "it is not a CSV table"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path, data, column, problem):
    with pytest.raises(InputError, match=problem):
        read_columns(write(tmp_path, data), [column])


def test_a_table_without_rows_has_empty_columns(tmp_path):
    assert read_columns(write(tmp_path, b"id,b\n"), ["b"]) == [[]]


def test_rle_and_split_tables_share_the_reader(tmp_path):
    path = write(tmp_path, b"ImageId;EncodedPixels\na;1 1\n")
    (tmp_path / "a.png").touch()
    with pytest.raises(InputError, match="semicolons separate its columns"):
        find_rle_table(list_files(tmp_path), table=path.name, images=".")
    table = SplitTable(file=path.name, id="ImageId", group="EncodedPixels")
    with pytest.raises(InputError, match="semicolons separate its columns"):
        apply_split_table(Pairing([], []), tmp_path, table)
