"""Source pairs to canonical samples: only what is new or has changed is decoded."""

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.records import Pair
from unetflow.core.errors import InputError
from unetflow.core.parallel import count_cores, parallel_map
from unetflow.data.pair_reader import describe_source, file_digest, files_of, mask_digest, read_pair
from unetflow.data.samples import (
    DESCRIPTION,
    IMAGE,
    INDEX,
    INSTANCES,
    LABEL,
    OVERVIEW,
    RejectedPair,
    SampleFolder,
    remove_sample,
    write_described,
    write_description,
)
from unetflow.io.files import file_signature, hide_home

_log = logging.getLogger(__name__)

_FORM = 5
"""Raised when samples or descriptions change their form, so that all are made anew."""
_MANY_FILES = 4000
"""Files to read from which on further processes are worth the seconds that they need to start."""
_OWN_NAMES = frozenset({IMAGE, LABEL, INSTANCES, OVERVIEW, DESCRIPTION, INDEX})
"""Names of files beside which no folder of a sample can have the same one."""


@dataclass(frozen=True)
class SampleSources:
    """What the samples shall be.

    Attributes:
        pairs: The annotated images in natural order.
        class_map: What the annotations' values mean.
        max_pixels: Width times height above which an image is refused unread.
        workers: Threads that decode; of many files, all but one of them are processes, since
            Python's steps between the files would hold threads up.
        refused: What the source has left out already.
    """

    pairs: Sequence[Pair]
    class_map: ClassMap
    max_pixels: int
    workers: int
    refused: Sequence[InputError] = ()


@dataclass(frozen=True)
class BuildResult:
    """What an intake has come to.

    Attributes:
        descriptions: What is known of each sample, by id in the pairs' order.
        refused: The pairs that could not be made samples.
        decoded: How many pairs were read; all others had not changed.
        removed: How many samples of before are gone.
    """

    descriptions: dict[str, dict[str, Any]]
    refused: list[RejectedPair]
    decoded: int
    removed: int

    def __str__(self) -> str:
        total = len(self.descriptions) + len(self.refused)
        gone = f"; {self.removed} samples of before are gone" if self.removed else ""
        if not self.decoded:
            return f"Nothing has changed: none of {total} pairs was decoded{gone}"
        return (
            f"Decoded {self.decoded} new or changed of {total} pairs; "
            f"{total - self.decoded} are as before{gone}"
        )


_Outcome = dict[str, Any] | RejectedPair
"""A sample's description, or why there is none."""


def update_samples(before: SampleFolder, sources: SampleSources) -> SampleFolder:
    """Bring a folder of samples up to date with its sources, and log how much of it was new.

    Args:
        before: The folder as the last run left it.
        sources: What the samples shall be.
    """
    built = build_samples(before.folder, sources, before.rejected)
    _log.info(built)
    return SampleFolder(before.folder, built.descriptions, sources.refused, built.refused)


def build_samples(
    folder: Path, intake: SampleSources, refused_before: Iterable[RejectedPair] = ()
) -> BuildResult:
    """Bring a folder of samples up to date with its sources.

    A pair is left alone when its files have the sizes and times of before and its annotation the
    same meaning, or when their bytes have the same digests. Each sample is complete or does not
    count, so that a killed run resumes where it was. The folder's index is removed first: until it
    is written again, there are no samples rather than some old and some new ones.

    Args:
        folder: Holds a folder for each sample.
        intake: What the samples shall be.
        refused_before: What the last intake refused.

    Returns:
        The samples' descriptions and what happened.
    """
    (folder / INDEX).unlink(missing_ok=True)
    before = dict(_read_descriptions(folder))
    wrong_before = {refusal.id: refusal for refusal in refused_before}
    removed = before.keys() - {pair.id for pair in intake.pairs}
    for sample_id in removed:
        remove_sample(folder / sample_id)
    outcomes: dict[str, _Outcome] = {}
    tasks = []
    sent = replace(intake, pairs=(), refused=())  # with each task
    for pair in intake.pairs:
        task = _Task(folder, pair, sent, before.get(pair.id), _try_signature(pair, intake))
        known = _recall(task, wrong_before.get(pair.id))
        if known is None:
            tasks.append(task)
        else:
            outcomes[pair.id] = known
    decoded = 0
    processes = _count_processes(tasks, intake.workers)
    for name, outcome, was_decoded in parallel_map(
        _take_one, tasks, intake.workers - processes, processes
    ):
        outcomes[name] = outcome
        decoded += was_decoded
    in_order = {pair.id: outcomes[pair.id] for pair in intake.pairs}
    descriptions = {
        i: known for i, known in in_order.items() if not isinstance(known, RejectedPair)
    }
    refused = [outcome for outcome in in_order.values() if isinstance(outcome, RejectedPair)]
    return BuildResult(descriptions, refused, decoded, len(removed))


@dataclass(frozen=True)
class _Task:
    """A pair to take in, with all that a process must know for it.

    Attributes:
        folder: Holds a folder for each sample.
        pair: The pair.
        intake: What the samples shall be, without the list of pairs.
        before: What is known of the sample from before.
        signature: What the files are now; "" if that cannot be told.
    """

    folder: Path
    pair: Pair
    intake: SampleSources
    before: Mapping[str, Any] | None
    signature: str


def _recall(task: _Task, wrong_before: RejectedPair | None) -> _Outcome | None:
    """Return what is known of a pair whose files have not been touched; else None."""
    if wrong_before is not None and wrong_before.signature == task.signature:
        return wrong_before
    home, before = task.folder / task.pair.id, task.before
    if before is None or before.get("stamp") != task.signature or not _is_complete(home, before):
        return None
    known = {**before, **describe_source(task.pair)}
    if known != before:
        write_description(home, known)
    return known


def _take_one(task: _Task) -> tuple[str, _Outcome, bool]:
    """Make one sample if needed; return its id, what came of it, and whether it was decoded."""
    pair, intake, before, mark = task.pair, task.intake, task.before, task.signature
    home = task.folder / pair.id
    try:
        mark = mark or _signature(pair, intake)
        if not _OWN_NAMES.isdisjoint(pair.id.lower().split("/")):
            raise InputError(pair.image, "samples have a file of that name", "Rename it")
        if before and _is_complete(home, before) and _same_bytes(pair, intake, before):
            known = {**before, **describe_source(pair), "stamp": mark}
            write_description(home, known)
            return pair.id, known, False
        described = read_pair(pair, intake.class_map, intake.max_pixels)
        extra = {"stamp": mark, "recipe": _recipe(pair, intake)}
        described.description.update(extra)
        write_described(home, described)
    except InputError as error:
        return pair.id, RejectedPair(pair.id, mark, error), True
    except OSError as error:  # gone since it was listed, or not ours to read
        problem = f"a file of it cannot be read ({error})"
        where = error.filename or pair.image
        refused = InputError(where, problem, "Mend that, then run the ingestion again")
        return pair.id, RejectedPair(pair.id, mark, refused), True
    return pair.id, described.description, True


def _count_processes(tasks: Sequence[_Task], workers: int) -> int:
    """Return how many of the workers are processes of their own."""
    files = sum(len(files_of(task.pair)) for task in tasks)
    return min(workers, count_cores()) - 1 if files >= _MANY_FILES else 0


def _read_descriptions(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read what is known of all complete samples below a folder; a damaged file knows nothing."""
    for path in folder.rglob(DESCRIPTION):
        try:
            description = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            description = {}
        known = description if isinstance(description, dict) else {}
        yield path.parent.relative_to(folder).as_posix(), known


def _is_complete(home: Path, before: Mapping[str, Any]) -> bool:
    instances = [INSTANCES] if before.get("has_instances") else []
    return all((home / name).is_file() for name in (IMAGE, LABEL, OVERVIEW, *instances))


def _recipe(pair: Pair, intake: SampleSources) -> str:
    """Return a digest of everything but the files that decides what a sample is."""
    parts = (
        _FORM,
        pair.image.page,
        pair.annotation.content,
        bool(pair.region),
        intake.class_map,
        intake.max_pixels,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _signature(pair: Pair, intake: SampleSources) -> str:
    """Return a digest that changes when a file or anything else that matters changes."""
    marks = [f"{file} {file_signature(file)}" for file in files_of(pair)]
    return hashlib.sha256("\n".join([_recipe(pair, intake), *marks]).encode()).hexdigest()


def _try_signature(pair: Pair, intake: SampleSources) -> str:
    """Return a pair's stamp, or "" where a file is not there; taking it in tells what is wrong."""
    try:
        return _signature(pair, intake)
    except (InputError, OSError):
        return ""


def _same_bytes(pair: Pair, intake: SampleSources, before: Mapping[str, Any]) -> bool:
    return (
        before.get("recipe") == _recipe(pair, intake)
        and before.get("image_file") == hide_home(str(pair.image))
        and before.get("image_sha256") == file_digest(pair.image.file)
        and before.get("mask_sha256") == mask_digest(pair)
    )
