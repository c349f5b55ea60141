"""Source pairs to canonical samples: only what is new or has changed is decoded."""

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetflow.imaging.describing import (
    describe_source,
    file_digest,
    files_of,
    mask_digest,
    read_pair,
)
from unetflow.imaging.errors import InputError
from unetflow.imaging.files import stamp
from unetflow.imaging.labels import Meaning
from unetflow.imaging.samples import (
    DESCRIPTION,
    IMAGE,
    INSTANCES,
    LABEL,
    OVERVIEW,
    remove_sample,
    write_described,
    write_description,
)
from unetflow.imaging.sources import Pair

_FORM = 4
"""Raised when samples or descriptions change their form, so that all are made anew."""
_OWN_NAMES = frozenset({IMAGE, LABEL, INSTANCES, OVERVIEW, DESCRIPTION, "index.json"})
"""Names of files beside which no folder of a sample can have the same one."""


@dataclass(frozen=True)
class Intake:
    """What the samples shall be.

    Attributes:
        pairs: The annotated images in natural order.
        meaning: What the annotations' values mean.
        max_pixels: Width times height above which an image is refused unread.
        workers: Threads that decode.
        refused: What the source has left out already.
    """

    pairs: Sequence[Pair]
    meaning: Meaning
    max_pixels: int
    workers: int
    refused: Sequence[InputError] = ()


@dataclass(frozen=True)
class Refusal:
    """A pair that could not be made a sample, and what its files were then."""

    id: str
    stamp: str
    error: InputError


@dataclass(frozen=True)
class Taken:
    """What an intake has come to.

    Attributes:
        descriptions: What is known of each sample, by id in the pairs' order.
        refused: The pairs that could not be made samples.
        decoded: How many pairs were read; all others had not changed.
        removed: How many samples of before are gone.
    """

    descriptions: dict[str, dict[str, Any]]
    refused: list[Refusal]
    decoded: int
    removed: int


def take_in(folder: Path, intake: Intake, refused_before: Iterable[Refusal] = ()) -> Taken:
    """Bring a folder of samples up to date with its sources.

    A pair is left alone when its files have the sizes and times of before and its annotation the
    same meaning, or when their bytes have the same digests. Each sample is complete or does not
    count, so that a run that is killed goes on where it was.

    Args:
        folder: Holds a folder for each sample.
        intake: What the samples shall be.
        refused_before: What the last intake refused.

    Returns:
        The samples' descriptions and what happened.
    """
    before = dict(_read_descriptions(folder))
    wrong_before = {refusal.id: refusal for refusal in refused_before}
    removed = before.keys() - {pair.id for pair in intake.pairs}
    for sample_id in removed:
        remove_sample(folder / sample_id)
    descriptions: dict[str, dict[str, Any]] = {}
    refused, decoded = [], 0
    for pair, outcome, was_decoded in _run(
        intake,
        lambda pair: _take_one(
            folder, pair, intake, before.get(pair.id), wrong_before.get(pair.id)
        ),
    ):
        decoded += was_decoded
        if isinstance(outcome, Refusal):
            refused.append(outcome)
        else:
            descriptions[pair.id] = outcome
    return Taken(descriptions, refused, decoded, len(removed))


def _take_one(
    folder: Path,
    pair: Pair,
    intake: Intake,
    before: Mapping[str, Any] | None,
    wrong_before: Refusal | None,
) -> tuple[Pair, dict[str, Any] | Refusal, bool]:
    """Make one sample if needed; return its description or refusal, and whether it was read."""
    mark = ""
    try:
        mark = _stamp(pair, intake)
        if not _OWN_NAMES.isdisjoint(pair.id.lower().split("/")):
            raise InputError(pair.image, "samples have a file of that name", "Rename it")
        if wrong_before is not None and wrong_before.stamp == mark:
            return pair, wrong_before, False
        home = folder / pair.id
        if before is not None and _is_complete(home, before):
            known = {**before, **describe_source(pair), "stamp": mark}
            if before.get("stamp") != mark and not _same_bytes(pair, intake, before):
                known = {}
            elif known != before:
                write_description(home, known)
            if known:
                return pair, known, False
        described = read_pair(pair, intake.meaning, intake.max_pixels)
        extra = {"stamp": mark, "recipe": _recipe(pair, intake)}
        described.description.update(extra)
        write_described(home, described)
    except InputError as error:
        return pair, Refusal(pair.id, mark, error), True
    except OSError as error:  # gone since it was listed, or not ours to read
        problem = f"a file of it cannot be read ({error})"
        where = error.filename or pair.image
        refused = InputError(where, problem, "Mend that, then run the ingestion again")
        return pair, Refusal(pair.id, mark, refused), True
    return pair, described.description, True


def _run(intake: Intake, take: Any) -> Iterator[tuple[Pair, dict[str, Any] | Refusal, bool]]:
    """Call a function for each pair in threads; few are under way at a time."""
    waiting: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(intake.workers) as executor:
        for pair in intake.pairs:
            waiting.append(executor.submit(take, pair))
            if len(waiting) > 4 * intake.workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


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


def _recipe(pair: Pair, intake: Intake) -> str:
    """Return a digest of everything but the files that decides what a sample is."""
    parts = (
        _FORM,
        pair.image.page,
        pair.annotation.content,
        bool(pair.region),
        intake.meaning,
        intake.max_pixels,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _stamp(pair: Pair, intake: Intake) -> str:
    """Return a digest that changes when a file or anything else that matters changes."""
    marks = [f"{file} {stamp(file)}" for file in files_of(pair)]
    return hashlib.sha256("\n".join([_recipe(pair, intake), *marks]).encode()).hexdigest()


def _same_bytes(pair: Pair, intake: Intake, before: Mapping[str, Any]) -> bool:
    return (
        before.get("recipe") == _recipe(pair, intake)
        and before.get("image_file") == str(pair.image)
        and before.get("image_sha256") == file_digest(pair.image.file)
        and before.get("mask_sha256") == mask_digest(pair)
    )
