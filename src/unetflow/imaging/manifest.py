"""The table of all samples, and what is known of the training data as a whole."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from unetflow.imaging.errors import InputError
from unetflow.imaging.files import sha256
from unetflow.imaging.intensity import IntensityRange, measure_intensity
from unetflow.imaging.labels import IGNORE, LabelClass
from unetflow.imaging.pairs import Pair
from unetflow.imaging.samples import Sample, SampleFolder


def describe_samples(
    pairs: Sequence[Pair], samples: SampleFolder, classes: Sequence[LabelClass]
) -> pd.DataFrame:
    """Make a table with one row for each sample.

    Args:
        pairs: Where the samples came from.
        samples: The samples, opened one at a time.
        classes: The classes in the order of their labels.

    Returns:
        Columns `id`, `image_file`, `mask_file`, `image_sha256`, `mask_sha256`, `height`, `width`,
        `channels`, `dtype`, `ignored` (share of pixels) and, for each class, `fraction_<name>`
        (share of the pixels that are not ignored).
    """
    sources = {pair.id: pair for pair in pairs}
    return pd.DataFrame(
        [_describe(sources[i], samples[i], classes) for i in samples],
    )


def refuse_other_channels(manifest: pd.DataFrame) -> list[InputError]:
    """Return an error for each image that differs from most in channels or bit depth."""
    kinds = manifest["channels"].astype(str) + " channels in " + manifest["dtype"].astype(str)
    usual = kinds.mode().iloc[0]
    return [
        InputError(
            row.image_file,
            f"it has {kind}, while most images have {usual}",
            "Convert it to what the others have",
        )
        for row, kind in zip(manifest.itertuples(), kinds, strict=True)
        if kind != usual
    ]


def refuse_constant_masks(manifest: pd.DataFrame, classes: Sequence[LabelClass]) -> None:
    """Raise an error when the masks of all samples hold one class only.

    Raises:
        InputError: There is nothing to tell apart.
    """
    present = [c.name for c in classes if manifest[f"fraction_{c.name}"].max() > 0]
    if len(present) < 2:
        raise InputError(
            manifest["mask_file"].iloc[0],
            f"this mask and all {len(manifest) - 1} others hold only the class "
            f"'{''.join(present) or 'none'}'",
            "Check that the right folder is given as masks, and the values in `classes`",
        )


def measure_fingerprint(
    manifest: pd.DataFrame, samples: SampleFolder, classes: Sequence[LabelClass]
) -> dict[str, Any]:
    """Sum up the training split, and give the whole data set a digest.

    Args:
        manifest: With the columns of `describe_samples` and `split`.
        samples: The samples, opened one at a time.
        classes: The classes in the order of their labels.

    Returns:
        Plain values: `digest`, `samples` (number by split), `channels`, `dtype`, `height` and
        `width` (smallest, median, largest), `intensity` (see `measure_intensity`) and
        `class_frequencies` (share of the training pixels that are not ignored).
    """
    training = manifest[manifest["split"] == "train"]
    dtype = np.dtype(str(training["dtype"].iloc[0]))
    intensity = measure_intensity(
        (samples[i].image for i in training["id"]), bits=8 * dtype.itemsize
    )
    counted = training["height"] * training["width"] * (1 - training["ignored"])
    return {
        "digest": digest_data(manifest),
        "samples": manifest["split"].value_counts().to_dict(),
        "channels": int(training["channels"].iloc[0]),
        "dtype": dtype.name,
        "height": _spread(training["height"]),
        "width": _spread(training["width"]),
        "intensity": asdict(intensity),
        "class_frequencies": {
            c.name: float((training[f"fraction_{c.name}"] * counted).sum() / counted.sum())
            for c in classes
        },
    }


def intensity_range(fingerprint: dict[str, Any]) -> IntensityRange:
    """Return the scaling that a fingerprint fixes."""
    return IntensityRange(fingerprint["intensity"]["low"], fingerprint["intensity"]["high"])


def ids_of_split(manifest: pd.DataFrame, split: str) -> list[str]:
    """Return the ids of the samples of one split, in the manifest's order."""
    return manifest.loc[manifest["split"] == split, "id"].tolist()


def digest_data(manifest: pd.DataFrame) -> str:
    """Return one digest of the content and the split of all samples, whatever their order."""
    columns = ["id", "image_sha256", "mask_sha256", "split"]
    rows = sorted("\x1f".join(row) for row in manifest[columns].astype(str).to_numpy())
    return hashlib.sha256("\x1e".join(rows).encode()).hexdigest()


def _describe(pair: Pair, sample: Sample, classes: Sequence[LabelClass]) -> dict[str, Any]:
    counts = np.bincount(sample.label.ravel(), minlength=IGNORE + 1)
    counted = sample.label.size - counts[IGNORE]
    height, width, channels = sample.image.shape
    return {
        "id": pair.id,
        "image_file": str(pair.image),
        "mask_file": str(pair.mask),
        "image_sha256": sha256(pair.image),
        "mask_sha256": sha256(pair.mask),
        "height": height,
        "width": width,
        "channels": channels,
        "dtype": sample.image.dtype.name,
        "ignored": float(counts[IGNORE] / sample.label.size),
        **{
            f"fraction_{c.name}": float(counts[index] / max(counted, 1))
            for index, c in enumerate(classes)
        },
    }


def _spread(values: "pd.Series[int]") -> dict[str, float]:
    return {
        "smallest": float(values.min()),
        "median": float(values.median()),
        "largest": float(values.max()),
    }
