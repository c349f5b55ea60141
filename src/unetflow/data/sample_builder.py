"""Canonical samples from source pairs; only new and changed pairs are decoded."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.raster import is_in_pieces
from unetflow.annotations.records import Pair, Pairing
from unetflow.config.ingestion import IngestionParameters
from unetflow.core.errors import InputError
from unetflow.core.parallel import count_cores, parallel_map
from unetflow.data import samples as stored
from unetflow.data.pair_reader import describe_source, file_digest, files_of, mask_digest, read_pair
from unetflow.data.samples import RejectedPair, SampleFolder
from unetflow.io.files import file_signature, hide_home

_log = logging.getLogger(__name__)

_VERSION = 6
"""Version of the samples and descriptions; a new one causes all of them to be built again."""
_MANY_FILES = 4000
"""Number of files from which further processes are worth the seconds that they take to start."""
_MOST_CHECKED = 50
"""Number of samples with one object that are looked at again."""
_RESERVED_NAMES = frozenset({*stored.FILES, stored.INDEX})
"""File names that no part of a sample's id may equal."""

_Outcome = dict[str, Any] | RejectedPair
"""The description of a sample, or the reason why there is none."""


def update_samples(
    before: SampleFolder, pairing: Pairing, class_map: ClassMap, ingestion: IngestionParameters
) -> SampleFolder:
    """Bring a folder of samples up to date with its sources, and log how much was new.

    A pair is not decoded again if the sizes and times of its files and the meaning of its
    annotation are unchanged, or if their bytes have the same digests. A sample without description
    does not count, so that a killed run resumes where it was. The folder's index is removed first:
    until it is written again, the folder counts as empty rather than as a mixture.

    Args:
        before: The folder as the last run left it, with the pairs that it rejected.
        pairing: The annotated images in natural order, and the files that the source left out.
        class_map: Meaning of the annotations' values.
        ingestion: The limit of an image's pixels, and the number of threads that decode. If there
            are many files, all but one of them are processes, because Python code between the
            files would slow threads down.
    """
    folder = before.folder
    (folder / stored.INDEX).unlink(missing_ok=True)
    known = dict(_read_descriptions(folder))
    rejected = {pair.id: pair for pair in before.rejected}
    removed = known.keys() - {pair.id for pair in pairing.pairs}
    for sample_id in removed:
        stored.remove_sample(folder / sample_id)
    outcomes: dict[str, _Outcome | None] = {}
    tasks = []
    for pair in pairing.pairs:
        home = folder / pair.id
        task = _Task(home, pair, class_map, ingestion.max_pixels, known.get(pair.id))
        outcomes[pair.id] = _find_unchanged(task, rejected.get(pair.id))
        if outcomes[pair.id] is None:
            tasks.append(task)
    decoded = 0
    files = sum(len(files_of(task.pair)) for task in tasks)
    processes = min(ingestion.workers, count_cores()) - 1 if files >= _MANY_FILES else 0
    threads = ingestion.workers - processes
    for sample_id, outcome, was_decoded in parallel_map(_build_one, tasks, threads, processes):
        outcomes[sample_id] = outcome
        decoded += was_decoded
    total = len(outcomes)
    message = f"Decoded {decoded} new or changed of {total} pairs; {total - decoded} are unchanged"
    if not decoded:
        message = f"Nothing has changed: none of {total} pairs was decoded"
    _log.info("%s%s", message, f"; removed {len(removed)} earlier samples" if removed else "")
    return SampleFolder(
        folder,
        {i: outcome for i, outcome in outcomes.items() if isinstance(outcome, dict)},
        pairing.refused,
        [outcome for outcome in outcomes.values() if isinstance(outcome, RejectedPair)],
    )


def list_in_pieces(samples: SampleFolder) -> list[str]:
    """Return samples with one object in several pieces, where others have several objects.

    Their masks may hold one value for all objects. Of many samples with one object,
    `_MOST_CHECKED`, evenly chosen, are looked at.
    """
    known = samples.descriptions
    numbered = [i for i in samples if known[i]["has_instances"]]
    single = [i for i in numbered if known[i]["objects"] == 1]
    if not any(known[i]["objects"] > 1 for i in numbered):
        return []
    found = []
    for sample_id in single[:: max(-(-len(single) // _MOST_CHECKED), 1)]:
        numbers = samples.instances(sample_id)
        if numbers is not None and is_in_pieces(numbers):
            found.append(sample_id)
    return found


@dataclass(frozen=True)
class _Task:
    """A pair to build a sample from in the folder `home`, in this process or another one.

    `before` describes the sample from an earlier run.
    """

    home: Path
    pair: Pair
    class_map: ClassMap
    max_pixels: int
    before: Mapping[str, Any] | None

    @cached_property
    def recipe(self) -> str:
        """Digest of everything except the files that determines the sample."""
        image, content = self.pair.image, self.pair.annotation.content
        has_region = bool(self.pair.region)
        parts = (_VERSION, image.page, content, has_region, self.class_map, self.max_pixels)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    @cached_property
    def signature(self) -> str:
        """Digest of the recipe and the signatures of the files."""
        marks = [f"{file} {file_signature(file)}" for file in files_of(self.pair)]
        return hashlib.sha256("\n".join([self.recipe, *marks]).encode()).hexdigest()

    def is_complete(self) -> bool:
        """Return whether there are all files of a sample with a description."""
        if self.before is None:
            return False
        optional = set() if self.before.get("has_instances") else {stored.INSTANCES}
        return all((self.home / name).is_file() for name in {*stored.FILES} - optional)

    def has_same_bytes(self) -> bool:
        """Return whether the sample was built from the same bytes by the same recipe."""
        before = self.before or {}
        return (
            before.get("recipe") == self.recipe
            and before.get("image_file") == hide_home(str(self.pair.image))
            and before.get("image_sha256") == file_digest(self.pair.image.file)
            and before.get("mask_sha256") == mask_digest(self.pair)
        )


def _find_unchanged(task: _Task, rejected: RejectedPair | None) -> _Outcome | None:
    """Return the earlier outcome if the signature is the same; else, or without one, None."""
    try:
        signature = task.signature
    except (InputError, OSError):  # building the sample reports it
        signature = ""
    if rejected is not None and rejected.signature == signature:
        return rejected
    if task.before is None or task.before.get("stamp") != signature or not task.is_complete():
        return None
    known = {**task.before, **describe_source(task.pair)}
    if known != task.before:
        stored.write_description(task.home, known)
    return known


def _build_one(task: _Task) -> tuple[str, _Outcome, bool]:
    """Build one sample if needed; return its id, the outcome and whether it was decoded."""
    pair, signature = task.pair, ""
    try:
        signature = task.signature
        if not _RESERVED_NAMES.isdisjoint(pair.id.lower().split("/")):
            raise InputError(pair.image, "samples have a file of that name", "Rename it")
        if task.is_complete() and task.has_same_bytes():
            known = {**(task.before or {}), **describe_source(pair), "stamp": signature}
            stored.write_description(task.home, known)
            return pair.id, known, False
        record = read_pair(pair, task.class_map, task.max_pixels)
        record.description.update(stamp=signature, recipe=task.recipe)
        stored.write_record(task.home, record)
    except InputError as error:
        return pair.id, RejectedPair(pair.id, signature, error), True
    except OSError as error:  # removed since it was listed, or without permission
        problem = f"a file of it cannot be read ({error})"
        where = error.filename or pair.image
        refused = InputError(where, problem, "Fix that, then run the ingestion again")
        return pair.id, RejectedPair(pair.id, signature, refused), True
    return pair.id, record.description, True


def _read_descriptions(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield id and description of all complete samples; of a damaged file it is empty."""
    for path in folder.rglob(stored.DESCRIPTION):
        try:
            description = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            description = {}
        known = description if isinstance(description, dict) else {}
        yield path.parent.relative_to(folder).as_posix(), known
