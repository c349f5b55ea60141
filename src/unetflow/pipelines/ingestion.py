"""The stage `ingestion`: raw files -> samples, manifest, quarantine, report and fingerprint."""

import logging

import pandas as pd
from kedro.pipeline import Pipeline

from unetflow.annotations.autodetect.object_numbers import describe_mix, number_objects
from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.raster import MixedMask
from unetflow.annotations.records import Pairing
from unetflow.config.classes import Classes
from unetflow.config.ingestion import IngestionParameters, SplitParameters
from unetflow.core.errors import InputError
from unetflow.data import manifest as manifests
from unetflow.data.duplicates import find_duplicates, find_leaks
from unetflow.data.fingerprint import Fingerprint, measure_fingerprint
from unetflow.data.sample_builder import list_in_pieces, update_samples
from unetflow.data.samples import SampleFolder
from unetflow.data.splitting import SplitRule, split_samples
from unetflow.pipelines.stage import list_first, node, stage
from unetflow.reporting.data_report import ask_about_classes, write_data_report

_log = logging.getLogger(__name__)

Table = pd.DataFrame
_FAR = 0.1


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    return stage(
        "ingestion",
        node(
            build_samples,
            ["raw_pairs", "samples_before", "params:classes", "params:ingestion"],
            "samples",
        ),
        node(describe_samples, ["samples", "params:classes"], ["described_samples", "quarantine"]),
        node(
            look_for_duplicates, ["described_samples", "samples", "params:ingestion"], "duplicates"
        ),
        node(
            split,
            [
                "described_samples",
                "duplicates",
                "manifest_before",
                "params:ingestion",
                "params:seed",
            ],
            ["split_samples", "leaks"],
        ),
        node(
            report_data,
            ["split_samples", "quarantine", "duplicates", "leaks", "samples", "params:classes"],
            "data_report",
        ),
        node(
            accept_data,
            [
                "split_samples",
                "quarantine",
                "leaks",
                "data_report",
                "params:classes",
                "params:ingestion",
            ],
            "manifest",
        ),
        node(
            measure_training_split,
            ["manifest", "samples", "params:classes"],
            "fingerprint",
            "measure_fingerprint",
        ),
    )


def build_samples(
    pairing: Pairing,
    samples_before: SampleFolder,
    classes: Classes,
    ingestion: IngestionParameters,
) -> SampleFolder:
    """Bring the folder of samples up to date with the sources.

    Only what is new or has changed is decoded, a few pairs at a time, so that memory does not grow
    with their number. A pair that cannot be read makes no sample; its reason is kept. Masks that
    number objects are recognised, unless the parameters say what they are.
    """
    _log.info("Found %d annotated images", len(pairing.pairs))
    if pairing.unlabelled:
        _log.info("Left %d images without annotation for inference", len(pairing.unlabelled))
    class_map = ClassMap.of(classes, ingestion.masks)
    pairing, detected = number_objects(
        pairing, class_map, ingestion.masks.instances, ingestion.max_pixels
    )
    samples = update_samples(samples_before, pairing, class_map, ingestion)
    samples.detected_objects = _report_numbers(samples, pairing, detected)
    return samples


def describe_samples(samples: SampleFolder, classes: Classes) -> tuple[Table, Table]:
    """Return a table of all usable samples, and one of all unusable files.

    The first has the columns of `data.manifest.tabulate`, the other, the quarantine, has `path`,
    `reason`, `fix` and `kind` (see `core.errors`).
    """
    described = manifests.tabulate(samples, list(classes))
    refused = list(samples.refused)
    if len(described):
        others = manifests.find_channel_mismatches(described)
        described = described[~described["image_file"].isin([e.where for e in others])]
        refused += others
    rows = [(error.where, error.problem, error.fix, error.kind) for error in refused]
    columns = ["path", "reason", "fix", "kind"]
    return described.reset_index(drop=True), Table(rows, columns=columns)


def look_for_duplicates(
    described: Table, samples: SampleFolder, ingestion: IngestionParameters
) -> Table:
    """List images that are the same or nearly; see `data.duplicates.find_duplicates`."""
    return find_duplicates(described, samples.thumbnail, ingestion.leakage.distance)


def split(
    described: Table,
    duplicates: Table,
    manifest_before: Table | None,
    ingestion: IngestionParameters,
    seed: int,
) -> tuple[Table, Table]:
    """Assign each sample to a split, and list the leaks between splits.

    Samples of the last run's manifest keep their split. The table gets the columns `group`,
    `split`, `fold` and `split_rule`; for the leaks see `data.duplicates.find_leaks`.
    """
    rule = SplitRule(ingestion.split, seed)
    if ingestion.split.strategy != "given" and described["source_split"].notna().any():
        _log.warning(
            "The source gives a split, which ingestion.split.strategy '%s' ignores; set it to "
            "'given' to use it",
            ingestion.split.strategy,
        )
    copies = zip(duplicates["first"], duplicates["second"], strict=True)
    together = copies if ingestion.leakage.duplicates == "together" else ()
    splits = split_samples(described, rule, manifest_before, together)
    return splits, find_leaks(splits, duplicates)


def report_data(
    split_samples: Table,
    quarantine: Table,
    duplicates: Table,
    leaks: Table,
    samples: SampleFolder,
    classes: Classes,
) -> str:
    """Write the data report as one HTML page; see `reporting.data_report`.

    Where a class covers more than half of the pixels, a warning asks whether it is the right one.
    """
    for question in ask_about_classes(split_samples, classes.names):
        _log.warning(question)
    return write_data_report(split_samples, quarantine, duplicates, leaks, samples, classes.names)


def accept_data(
    split_samples: Table,
    quarantine: Table,
    leaks: Table,
    data_report: str,
    classes: Classes,
    ingestion: IngestionParameters,
) -> Table:
    """Return the samples as the manifest, provided that they can be trained on.

    The report is an input so that it is written before an error stops the run.

    Raises:
        InputError: Masks hold what is not declared, too many files are in quarantine, too few
            samples are left, all masks hold a single class, a split has no pixel that counts, or
            the split leaks.
    """
    _check_quarantine(quarantine, len(split_samples), ingestion.max_quarantined_fraction)
    if len(split_samples) < 3:
        raise InputError(
            "raw_pairs",
            f"only {len(split_samples)} annotated images can be used",
            "Give at least 3, one each to train, to validate and to test; better 20 or more",
        )
    manifests.require_several_classes(split_samples, list(classes))
    manifests.require_counted_pixels(split_samples)
    of_groups = leaks["kind"] == "same group"
    # Blocks may cut a series, such as the slices of a volume, unless an expression makes groups.
    may_cut = ingestion.split.strategy == "contiguous" and ingestion.split.group is None
    series = split_samples.loc[split_samples["is_series"].astype(bool), "id"]
    cut = of_groups & leaks["first"].isin(series) & may_cut
    # Copies come first: those that stay together make one group.
    _check_leaks(leaks[~of_groups], "duplicates", ingestion.leakage.duplicates)
    _check_leaks(leaks[cut], "groups", "allow")
    _check_leaks(leaks[of_groups & ~cut], "groups", ingestion.leakage.groups)
    _log.info("Split: %s", split_samples["split"].value_counts().to_dict())
    _compare_shares(split_samples["split"], ingestion.split)
    return split_samples


def measure_training_split(manifest: Table, samples: SampleFolder, classes: Classes) -> Fingerprint:
    """Measure the training split; see `data.fingerprint.measure_fingerprint`."""
    return measure_fingerprint(manifest, samples, list(classes))


def _report_numbers(samples: SampleFolder, pairing: Pairing, detected: str) -> str:
    """Report masks with one value for several pieces, and return what was recognised."""
    mixed = {p.id for p in pairing.pairs if isinstance(p.annotation, MixedMask)}
    found = [d["has_instances"] for name, d in samples.descriptions.items() if name in mixed]
    if found and not all(found):
        _log.info("%d of %d masks number their objects", sum(found), len(found))
        return detected and describe_mix(found)
    if plain := list_in_pieces(samples):
        _log.warning(
            "These masks hold one object in several pieces, while others number many:\n%s\n"
            "If they do not number their objects, set `ingestion.masks.instances: mixed`",
            list_first([f"  {samples.descriptions[name]['mask_file']}" for name in plain]),
        )
    return detected


def _check_quarantine(quarantine: Table, usable: int, allowed: float) -> None:
    if not len(quarantine):
        return
    total = len(quarantine) + usable
    rows = [f"  {row.path}: {row.reason}. {row.fix}." for row in quarantine.itertuples()]
    wrong = [row for row, kind in zip(rows, quarantine["kind"], strict=True) if kind != "file"]
    if wrong:
        raise InputError(
            "classes",
            f"what {len(wrong)} of the masks hold is not declared:\n{list_first(wrong)}\n",
            "Declare it; masks are not left out for this",
        )
    if len(quarantine) / total > allowed:
        raise InputError(
            "raw_pairs",
            f"{len(rows)} of {total} entries cannot be used, more than the allowed share of "
            f"{allowed:.0%}:\n{list_first(rows)}\nThe catalog entry 'quarantine' lists them all.\n",
            "Fix them, or raise ingestion.max_quarantined_fraction to continue without them",
        )
    _log.warning("Left out %d files:\n%s", len(rows), list_first(rows))


def _compare_shares(splits: "pd.Series[str]", wanted: SplitParameters) -> None:
    """Warn where a random split is much smaller or larger than requested."""
    shares = splits.value_counts(normalize=True)
    asked = {"validation": wanted.validation, "test": wanted.test}
    far = [name for name, share in asked.items() if abs(shares.get(name, 0) - share) > _FAR]
    if far and wanted.strategy == "random":
        _log.warning(
            "A random split meets its fractions only on average, and with so few groups it does "
            "not: %s. `ingestion.split.strategy: stratified` meets them",
            ", ".join(f"{name} {shares[name]:.0%} instead of {asked[name]:.0%}" for name in far),
        )


def _check_leaks(leaks: Table, name: str, policy: str) -> None:
    if not len(leaks):
        return
    rows = [
        f"  {row.first} ({row.first_split}) and {row.second} ({row.second_split}): {row.kind}"
        for row in leaks.itertuples()
    ]
    if policy == "allow":
        _log.warning(
            "The scores may be too good: %d times the split leaks:\n%s", len(rows), list_first(rows)
        )
        return
    fix = {
        ("groups", "stop"): "Split by group, or set `ingestion.leakage.groups: allow` to accept it",
        ("duplicates", "stop"): "Set `ingestion.leakage.duplicates: together` to keep them on one "
        "side, or `allow` to accept it",
        ("duplicates", "together"): "The strategy of the split divides them all the same: take one "
        "of each two away, or set `ingestion.leakage.duplicates: allow` to accept it",
    }
    raise InputError(
        "raw_pairs",
        f"the split leaks, so that scores would be too good; {len(rows)} times two sides share "
        f"what they must not:\n{list_first(rows)}\n"
        "The catalog entries 'leaks' and 'data_report' show them all.\n",
        fix[name, policy],
    )
