"""A table that says which side of the split each image is on, and what it belongs to."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from unetflow.imaging.errors import InputError
from unetflow.imaging.sources.records import Pairing
from unetflow.imaging.splitting import SPLITS
from unetflow.imaging.trees import list_tree

SYNONYMS = {
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "testing": "test",
}
_SPLIT_WORD = re.compile(
    rf"(?<![^\W\d_])(?:{'|'.join(sorted({*SPLITS, *SYNONYMS}, key=len, reverse=True))})",
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
        unknown = [name for name in values if name not in known]
        if unknown or "file" not in values or not {"split", "group"} & set(values):
            raise InputError(
                "split_table",
                f"it has {', '.join(values) or 'nothing'}",
                "Give `file`, `id`, and `split` or `group` or both",
            )
        return cls(**values)


def apply_split_table(pairing: Pairing, root: Path, table: SplitTable) -> Pairing:
    """Give each pair the split and the group that a table says.

    Pairs that the table does not list are refused; rows without a pair are passed over, since
    tables often list more than what was downloaded.

    Raises:
        InputError: The table or a column is not there, or a split's name is unknown.
    """
    rows = _read(root, table)
    pairs, refused = [], list(pairing.refused)
    for pair in pairing.pairs:
        name = Path(pair.id).name
        key = next(
            (k for k in (pair.id, name, pair.image.file.name, str(pair.image)) if k in rows), None
        )
        if key is None:
            refused.append(
                InputError(
                    pair.image, f"{table.file} has no row for '{pair.id}'", "Add a row for it"
                )
            )
            continue
        split, group = rows[key]
        pairs.append(replace(pair, split=split or pair.split, group=group or pair.group))
    return Pairing(pairs, refused, pairing.unlabelled)


def _read(root: Path, table: SplitTable) -> dict[str, tuple[str | None, str | None]]:
    file = list_tree(root).file(table.file)
    try:
        with file.open("rb") as opened:
            rows = pd.read_csv(opened, dtype=str, keep_default_na=False)
    except InputError:
        raise
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(file, f"it is no CSV table ({error})", "Save it as CSV") from error
    for column in filter(None, (table.id, table.split, table.group)):
        if column not in rows:
            raise InputError(
                file, f"it has no column '{column}'", f"Its columns: {', '.join(rows.columns)}"
            )
    splits = [split_of(file, name) for name in rows[table.split]] if table.split else [None]
    groups = rows[table.group].tolist() if table.group else [None]
    listed = rows[table.id].tolist()
    double = rows[table.id][rows[table.id].duplicated()]
    if len(double):
        raise InputError(file, f"'{double.iloc[0]}' stands twice", "Remove one of the rows")
    return {
        name: (splits[number % len(splits)], groups[number % len(groups)])
        for number, name in enumerate(listed)
    }


def find_splits(path: str) -> tuple[str, ...]:
    """Return the splits that a path names, such as "validation" for `data/val2017`."""
    return tuple(split_of(path, word) for word in find_split_words(path))


def find_split_words(text: str) -> list[str]:
    """Return the words for a split in a text, such as "Val" in `Val_images`."""
    return _SPLIT_WORD.findall(text)


def split_of(where: object, name: str) -> str:
    """Return the split that a name means, such as "validation" for "val".

    Raises:
        InputError: It means none.
    """
    split = SYNONYMS.get(name.strip().lower(), name.strip().lower())
    if split not in SPLITS:
        raise InputError(where, f"'{name}' is no split", f"Use {', '.join(SPLITS)}")
    return split
