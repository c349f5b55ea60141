"""A table that says which side of the split each image is on, and what it belongs to."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from unetflow.annotations.records import Pair, Pairing
from unetflow.annotations.tables import read_columns
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


@dataclass(frozen=True)
class SplitTable:
    """Where a table of splits lies.

    Attributes:
        file: A CSV file's path below the data set's root.
        id: The column with the ids, or the images' names with their ending.
        split: The column with "train", "validation" (or "val") and "test"; None: no such one.
        group: The column with what must stay on one side, such as the patient; None: no such one.
    """

    file: str
    id: str = "id"
    split: str | None = None
    group: str | None = None

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "SplitTable":
        """Check the values of `split_table`."""
        known = [field.name for field in fields(cls)]
        stated = values if isinstance(values, Mapping) else {}
        given = {str(key): value for key, value in stated.items()}
        # YAML reads a key without a value as None, which says nothing.
        columns = [key for key in ("split", "group") if given.get(key) is not None]
        if not {*given} <= {*known} or "file" not in given or not columns:
            raise InputError(
                "split_table",
                f"it has {', '.join(given) or 'no keys'}",
                "Give `file`, `id`, and `split` or `group` or both",
            )
        for key in ("file", "id", *columns):
            if key in given and not isinstance(given[key], str):
                raise InputError(
                    f"split_table.{key}",
                    f"{given[key]!r} is not a text",
                    "Correct it; a text may need quotes around it",
                )
        return cls(**given)


def apply_split_table(pairing: Pairing, root: Path, table: SplitTable) -> Pairing:
    """Give each pair the split and the group that a table says.

    An image is listed by its id, or by the last part of that or its file's name where only one
    image has it. Pairs that the table does not list are refused; rows without a pair are passed
    over, since tables often list more than what was downloaded.

    Raises:
        InputError: The table or a column is not there, or a split's name is unknown.
    """
    rows = _read(root, table)
    images: dict[str, set[str]] = defaultdict(set)
    for pair in pairing.pairs:
        for name in _names_of(pair):
            images[name].add(str(pair.image.file))
    pairs, refused = [], list(pairing.refused)
    for pair in pairing.pairs:
        key = next((name for name in _names_of(pair) if name in rows), None)
        if key is None:
            problem, fix = f"{table.file} has no row for '{pair.id}'", "Add a row for it"
            refused.append(InputError(pair.image, problem, fix))
        elif key != pair.id and len(images[key]) > 1:
            problem = f"the row '{key}' of {table.file} stands for several images"
            refused.append(InputError(pair.image, problem, f"Write '{pair.id}' into the table"))
        else:
            split, group = rows[key]
            pairs.append(
                replace(
                    pair,
                    split=split or pair.split,
                    group=group or pair.group,
                    is_series=pair.is_series and not group,
                )
            )
    return Pairing(pairs, refused, pairing.unlabelled)


def _names_of(pair: Pair) -> tuple[str, ...]:
    """Return what a table may call an image, the most exact first."""
    return pair.id, str(pair.image), pair.id.rpartition("/")[2], pair.image.file.name


def _read(root: Path, table: SplitTable) -> dict[str, tuple[str | None, str | None]]:
    """Return split and group of each listed name; None where a cell is empty."""
    file = list_files(root).file(table.file)
    stated = [column for column in (table.split, table.group) if column is not None]
    listed, *values = read_columns(file, [table.id, *stated])
    nothing = [""] * len(listed)
    splits = values.pop(0) if table.split is not None else nothing
    groups = values.pop(0) if table.group is not None else nothing
    twice = [name for name, count in Counter(listed).items() if count > 1]
    if twice:
        raise InputError(file, f"'{twice[0]}' stands twice", "Remove one of the rows")
    return {
        name: (parse_split(file, split) if split else None, group or None)
        for name, split, group in zip(listed, splits, groups, strict=True)
    }


def find_splits(path: str) -> tuple[str, ...]:
    """Return the splits that a path names, such as "validation" for `data/val2017`."""
    return tuple(parse_split(path, word) for word in find_split_words(path))


def find_split_words(text: str) -> list[str]:
    """Return the words for a split in a text, such as "Val" in `Val_images`."""
    return _SPLIT_WORD.findall(text)


def parse_split(where: object, name: str) -> str:
    """Return the split that a name means, such as "validation" for "val".

    Raises:
        InputError: It means none.
    """
    split = SPLIT_SYNONYMS.get(name.strip().lower(), name.strip().lower())
    if split not in SPLITS:
        raise InputError(where, f"'{name}' is no split", f"Use {', '.join(SPLITS)}")
    return split
