"""The manifest, a table of all samples: its checks, digests, splits and folds."""

import hashlib
from collections.abc import Sequence

import pandas as pd

from unetflow.config.classes import ClassSpec
from unetflow.core.errors import InputError
from unetflow.data.samples import SampleFolder

_IDENTITY = ("image_sha256", "mask_sha256", "stamp")
_COLUMNS = ["id", "image_file", "mask_file", "image_sha256", "mask_sha256", "image_bytes"]
_COLUMNS += ["changed", "stamp", "height", "width", "channels", "dtype", "ignored", "foreground"]
_COLUMNS += ["objects", "touching", "has_instances", "overlap", "pixel_digest", "perceptual_hash"]
_COLUMNS += ["source_group", "source_split", "is_series"]


def tabulate(samples: SampleFolder, classes: Sequence[ClassSpec]) -> pd.DataFrame:
    """Return a table of the samples' descriptions, one row for each; no pixel is read.

    It has the columns of `pair_reader.read_pair` (`touching` is NaN where unknown), `stamp`, which
    changes with the sources, and `foreground`, the fraction of the counted pixels that are not of
    the first class.
    """
    rows = pd.DataFrame(list(samples.descriptions.values()))
    if not len(rows):
        return pd.DataFrame(columns=[*_COLUMNS, *(f"fraction_{c.name}" for c in classes)])
    foreground = rows[[f"fraction_{c.name}" for c in classes[1:]]].sum(axis=1)
    return rows.drop(columns="recipe").assign(
        foreground=foreground.clip(0, 1), touching=_touching_of(rows)
    )


def _touching_of(rows: pd.DataFrame) -> "pd.Series[float]":
    unknown = pd.Series(float("nan"), rows.index)
    return rows.get("touching", unknown).astype(float)


def find_channel_mismatches(table: pd.DataFrame) -> list[InputError]:
    """Return an error for each image that differs from the majority in channels or data type."""
    kinds = table["channels"].astype(str) + " channels in " + table["dtype"].astype(str)
    usual = kinds.mode().iloc[0]
    fix = "Convert it to match the others"
    return [
        InputError(file, f"it has {kind}, while most images have {usual}", fix)
        for file, kind in zip(table["image_file"], kinds, strict=True)
        if kind != usual
    ]


def require_several_classes(table: pd.DataFrame, classes: Sequence[ClassSpec]) -> None:
    """Raise an `InputError` if all masks hold one and the same class."""
    present = [c.name for c in classes if table[f"fraction_{c.name}"].max() > 0]
    if len(present) < 2:
        raise InputError(
            table["mask_file"].iloc[0],
            f"this mask and all {len(table) - 1} others hold only the class "
            f"'{''.join(present) or 'none'}'",
            "Check that the right folder is given as masks, and the values in `classes`",
        )


def require_counted_pixels(table: pd.DataFrame) -> None:
    """Raise an `InputError` if all pixels of a split are ignored."""
    for split, rows in table.groupby("split", sort=False):
        if (rows["ignored"] >= 1).all():
            raise InputError(
                rows["mask_file"].iloc[0],
                f"no pixel of it counts, nor of the {len(rows) - 1} other masks of the split "
                f"'{split}': all are ignored values or outside of a region",
                "Check `ingestion.masks.ignore` and the regions, or split otherwise",
            )


def samples_of_split(samples: SampleFolder, manifest: pd.DataFrame, split: str) -> SampleFolder:
    """Return the samples of one split in the order of the manifest.

    Raises:
        InputError: The samples differ from those that the manifest describes.
    """
    rows = manifest[manifest["split"] == split]
    chosen = samples.select(rows["id"].tolist())
    for row in rows.itertuples():
        known = chosen.descriptions[str(row.id)]
        # The stamp covers the meaning of the masks, the digests the content of the files.
        if any(known[column] != getattr(row, column) for column in _IDENTITY):
            raise InputError(
                row.image_file,
                "its sample is newer than the manifest, because an ingestion was refused",
                "Run `kedro run --pipelines ingestion`, and fix what it refuses",
            )
    return chosen


def digest_data(manifest: pd.DataFrame) -> str:
    """Return a digest of the content and the split of all samples, independent of their order."""
    columns = ["id", "image_sha256", "mask_sha256", "split"]
    rows = sorted("\x1f".join(row) for row in manifest[columns].astype(str).to_numpy())
    return hashlib.sha256("\x1e".join(rows).encode()).hexdigest()


def digest_training(manifest: pd.DataFrame) -> str:
    """Return a digest of everything that training uses of the data, meaning of masks included."""
    class_map = [name for name in manifest.columns if name.startswith("fraction_")]
    columns = ["id", "split", "pixel_digest", "mask_sha256", "ignored", "has_instances", *class_map]
    columns = [name for name in columns if name in manifest.columns]
    table = manifest[columns].sort_values("id").to_json(orient="values", double_precision=15)
    return hashlib.sha256(table.encode()).hexdigest()


def count_folds(manifest: pd.DataFrame) -> int:
    """Return the number of folds of a manifest; see `require_folds` for the error."""
    folds = int(manifest["fold"].max()) + 1
    require_folds(folds)
    return folds


def require_folds(folds: int) -> None:
    """Raise an `InputError` if there are fewer than three folds."""
    if folds < 3:
        raise InputError(
            "ingestion.split.folds",
            f"a cross-validation needs three or more, not {folds}: one is held out, one validates "
            "and the others train",
            "Add `--params ingestion.split.folds=5`",
        )


def manifest_of_fold(manifest: pd.DataFrame, fold: int) -> pd.DataFrame:
    """Return the manifest for training with one fold held out, so that it is scored unseen.

    The fold becomes the test split, the next one (cyclically) the validation split and all others
    the training split. Folds consist of whole groups, so that no group is in two splits. Samples of
    the test split belong to no fold, which is -1, and are left out.
    """
    validation = (fold + 1) % count_folds(manifest)
    part = manifest[manifest["fold"] >= 0]
    splits = {fold: "test", validation: "validation"}
    return part.assign(split=[splits.get(f, "train") for f in part["fold"]])
