"""Raw files to canonical samples, with a table of them and a list of what was left out."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd

from unetflow.imaging import manifest as manifests
from unetflow.imaging.errors import InputError
from unetflow.imaging.pairs import Pairing
from unetflow.imaging.samples import Sample, SampleFolder, read_pair
from unetflow.imaging.splitting import split_samples
from unetflow.pipelines.parameters import IngestionParameters, read_classes, read_parameters

_log = logging.getLogger(__name__)


def canonicalise(
    pairing: Pairing, classes: list[dict[str, Any]], parameters: dict[str, Any]
) -> dict[str, Callable[[], Sample]]:
    """Tell how each pair becomes a sample; the catalog reads and writes them one at a time.

    Args:
        pairing: The pairs that were found.
        classes: The parameter `classes`.
        parameters: The parameters of the ingestion.

    Returns:
        A function for each sample id that reads and decodes its files.
    """
    settings = read_parameters(IngestionParameters, parameters, "ingestion")
    meaning = read_classes(classes)
    _log.info("Found %d pairs of image and mask", len(pairing.pairs))
    return {
        pair.id: partial(read_pair, pair, meaning, settings.max_pixels) for pair in pairing.pairs
    }


def describe_samples(
    pairing: Pairing, samples: SampleFolder, classes: list[dict[str, Any]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make a table of all samples that can be used, and one of all files that cannot.

    Args:
        pairing: Where the samples came from, and files without a partner.
        samples: The samples.
        classes: The parameter `classes`.

    Returns:
        The description of the samples (see `imaging.manifest.describe_samples`), and the
        quarantine with the columns `path`, `problem` and `mend`.
    """
    meaning = read_classes(classes)
    described = manifests.describe_samples(pairing.pairs, samples, meaning)
    refused = [*pairing.refused, *samples.refused]
    if len(described):
        others = manifests.refuse_other_channels(described)
        described = described[~described["image_file"].isin([e.where for e in others])]
        refused += others
    quarantine = pd.DataFrame(
        [(error.where, error.problem, error.mend) for error in refused],
        columns=["path", "problem", "mend"],
    )
    return described.reset_index(drop=True), quarantine


def split_manifest(
    described: pd.DataFrame,
    quarantine: pd.DataFrame,
    classes: list[dict[str, Any]],
    parameters: dict[str, Any],
    seed: int,
) -> pd.DataFrame:
    """Give each sample its split, provided that the data can be trained on.

    Args:
        described: The samples.
        quarantine: The files that were left out.
        classes: The parameter `classes`.
        parameters: The parameters of the ingestion.
        seed: What a random split depends on.

    Returns:
        The manifest: `described` with a column `split`.

    Raises:
        InputError: Too many files are in quarantine, too few samples are left, or all masks hold
            a single class.
    """
    settings = read_parameters(IngestionParameters, parameters, "ingestion")
    _check_quarantine(quarantine, len(described), settings.max_quarantined_fraction)
    if len(described) < 3:
        raise InputError(
            "raw_pairs",
            f"only {len(described)} pairs can be used",
            "Give at least 3, one each to train, to validate and to test; better 20 or more",
        )
    manifests.refuse_constant_masks(described, read_classes(classes))
    split = settings.split
    ids = described["id"].tolist()
    manifest = described.assign(
        split=split_samples(ids, split.strategy, split.validation, split.test, seed)
    )
    _log.info("Split: %s", manifest["split"].value_counts().to_dict())
    return manifest


def measure_fingerprint(
    manifest: pd.DataFrame, samples: SampleFolder, classes: list[dict[str, Any]]
) -> dict[str, Any]:
    """Measure the training split; see `imaging.manifest.measure_fingerprint`."""
    return manifests.measure_fingerprint(manifest, samples, read_classes(classes))


def _check_quarantine(quarantine: pd.DataFrame, usable: int, allowed: float) -> None:
    if not len(quarantine):
        return
    total = len(quarantine) + usable
    rows = [f"  {row.path}: {row.problem}. {row.mend}." for row in quarantine.itertuples()]
    listing = "\n".join(rows[:10])
    if len(quarantine) / total > allowed:
        more = f"\n  and {len(rows) - 10} more" if len(rows) > 10 else ""
        raise InputError(
            "raw_pairs",
            f"{len(rows)} of {total} entries cannot be used, more than the allowed share of "
            f"{allowed:.0%}:\n{listing}{more}\nThe catalog entry 'quarantine' lists them all.\n",
            "Mend them, or raise ingestion.max_quarantined_fraction to go on without them",
        )
    _log.warning("Left out %d files:\n%s", len(rows), listing)
