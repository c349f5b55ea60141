"""Splits of a data set: a table that assigns images to them, and their names in paths."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

from unetflow.annotations.records import Pair, Pairing
from unetflow.annotations.tables import read_columns
from unetflow.config.base import Strict, read_parameters
from unetflow.core.errors import InputError
from unetflow.core.types import SPLITS
from unetflow.io.file_listing import list_files

SPLIT_SYNONYMS = {
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "testing": "test",
}
_SPLIT_WORD = re.compile(
    rf"(?<![^\W\d_])(?:{'|'.join(sorted({*SPLITS, *SPLIT_SYNONYMS}, key=len, reverse=True))})",
    re.IGNORECASE,
)
"""Such a word, where a word may begin."""
_FIX = "Give `file`, `id`, and `split` or `group` or both"


class SplitTable(Strict):
    """A table of splits or groups in a data set, as the names of its columns."""

    file: str  # path of the CSV file within the data set's root
    id: str = "id"  # the ids, or the images' names with their extension
    split: str | None = None  # "train", "validation" (or "val") and "test"
    group: str | None = None  # what must stay on one side, such as the patient

    @classmethod
    def read(cls, values: object) -> Self:
        """Check the catalog's option `split_table`; refuse missing, unknown and wrong keys."""
        if not isinstance(values, Mapping):
            raise InputError("split_table", f"{values!r} is not a list of keys", _FIX)
        table = read_parameters(cls, values, "split_table")
        if table.split is None and table.group is None:
            raise InputError("split_table", "it names no column", _FIX)
        return table


def apply_split_table(pairing: Pairing, root: Path, table: SplitTable) -> Pairing:
    """Assign to each pair the split and the group that a table states.

    An image is listed by its id, or by the last part of that or its file's name where only one
    image has it. Pairs that the table does not list are refused; rows without a pair are ignored,
    since tables often list more than what was downloaded.

    Raises:
        InputError: The table or a column does not exist, or the name of a split is unknown.
    """
    file = list_files(root).file(table.file)
    columns = [table.id, *(column for column in (table.split, table.group) if column is not None)]
    names, *values = read_columns(file, columns)
    splits = values[0] if table.split is not None else [""] * len(names)
    groups = values[-1] if table.group is not None else [""] * len(names)
    rows: dict[str, tuple[str, str]] = {}
    for name, split, group in zip(names, splits, groups, strict=True):
        if name in rows:
            raise InputError(file, f"it has several rows for '{name}'", "Remove all but one")
        rows[name] = (split and parse_split(file, split), group)
    images: dict[str, set[str]] = defaultdict(set)
    for pair in pairing.pairs:
        for name in _list_names(pair):
            images[name].add(str(pair.image.file))
    pairs, refused = [], list(pairing.refused)
    for pair in pairing.pairs:
        key = next((name for name in _list_names(pair) if name in rows), None)
        if key is None:
            problem, fix = f"{table.file} has no row for '{pair.id}'", "Add a row for it"
            refused.append(InputError(pair.image, problem, fix))
        elif key != pair.id and len(images[key]) > 1:
            problem = f"the row '{key}' of {table.file} matches several images"
            refused.append(InputError(pair.image, problem, f"Write '{pair.id}' into the table"))
        else:
            split, group = rows[key]
            found = replace(pair, split=split or pair.split, group=group or pair.group)
            pairs.append(replace(found, is_series=pair.is_series and not group))
    return Pairing(pairs, refused, pairing.unlabelled)


def _list_names(pair: Pair) -> tuple[str, ...]:
    """Return the names by which a table may list an image, the most specific first."""
    return pair.id, str(pair.image), pair.id.rpartition("/")[2], pair.image.file.name


def find_splits(path: str) -> tuple[str, ...]:
    """Return the splits that a path names, such as "validation" for `data/val2017`."""
    return tuple(parse_split(path, word) for word in find_split_words(path))


def find_split_words(text: str) -> list[str]:
    """Return the words for a split in a text, such as "Val" in `Val_images`."""
    return _SPLIT_WORD.findall(text)


def parse_split(where: object, name: str) -> str:
    """Return the split of a name, such as "validation" for "val"; refuse any other name."""
    split = SPLIT_SYNONYMS.get(name.strip().lower(), name.strip().lower())
    if split not in SPLITS:
        raise InputError(where, f"'{name}' is not a split", f"Use {', '.join(SPLITS)}")
    return split
