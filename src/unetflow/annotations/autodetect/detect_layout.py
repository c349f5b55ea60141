"""Detection of the layout of a folder that nobody has described."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from unetflow.annotations.autodetect.content_kind import has_mask_word, use_fields_of_view
from unetflow.annotations.autodetect.name_candidates import find_name_candidates
from unetflow.annotations.autodetect.table_candidates import find_table_candidates
from unetflow.annotations.layouts.find_pairs import find_pairs
from unetflow.annotations.layouts.object_masks import split_name
from unetflow.annotations.records import Pairing
from unetflow.annotations.split_table import find_split_words, parse_split
from unetflow.core.errors import InputError
from unetflow.core.types import SPLITS
from unetflow.io.file_listing import FileListing, list_files
from unetflow.io.formats.readers import is_image

_WORD_ENDS = re.compile(r"[\W_]+")
_MAX_SHOWN = 6
_MAX_UNUSED_MASKS = 0.1  # for each pair


@dataclass(frozen=True)
class LayoutCandidate:
    """A layout that a folder may have, with the arguments of `find_pairs`."""

    layout: str
    options: dict[str, Any] = field(default_factory=dict)
    splits: dict[str, dict[str, Any]] | None = None
    n_pairs: int = 0  # annotated images that it finds
    n_unused: int = 0  # image files that are no part of it
    n_unused_masks: int = 0  # those of them that are called masks, unlike the images
    # The images that it pairs, and where their annotations are.
    made: frozenset[tuple[str, str]] = field(default=frozenset(), repr=False, compare=False)

    def explain(self, root: Path) -> str:
        """Return a summary and the catalog entry that pins this layout."""
        entry: dict[str, Any] = {
            "type": "unetflow.datasets.SourceDataset",
            "path": str(root),
            "layout": self.layout,
            **self.options,
            **({"splits": self.splits} if self.splits else {}),
        }
        lines = yaml.safe_dump({"raw_pairs": entry}, sort_keys=False, width=1000).splitlines()
        indented = "\n".join(f"    {line}" for line in lines)
        rest = f", without {self.n_unused} other image files" if self.n_unused else ""
        parts = [self.options, *(self.splits or {}).values()]
        regions = dict.fromkeys(f"'{part['regions']}'" for part in parts if "regions" in part)
        if regions:
            seem = "seems to be the field" if len(regions) == 1 else "seem to be the fields"
            rest += f"; {' and '.join(regions)} {seem} of view, and pixels outside do not count"
        if self.splits:
            rest += "; `ingestion.split.strategy: given` keeps its split"
        return f"'{self.layout}' with {self.n_pairs} annotated images{rest}:\n{indented}"


def detect_layout(root: Path) -> LayoutCandidate:
    """Return the only layout that a folder or archive can have.

    Raises:
        InputError: There is none, or more than one, or one that leaves out many masks; the message
            shows them.
    """
    candidates = find_candidates(root)
    if not candidates:
        kinds = Counter(
            (name.rpartition("/")[0] or "the folder itself", "." + name.rpartition(".")[2])
            for name in list_files(root).files
        )
        rows = [f"{count} {ending} in {folder}" for (folder, ending), count in kinds.most_common(6)]
        problem = f"no layout was detected in it; it holds {', '.join(rows) or 'no file'}"
        fix = "Write `layout` and its options into the catalog; the README has a table of them"
        raise InputError(root, problem, fix)
    first = candidates[0]
    entries = "\n".join(f"  {each.explain(root)}" for each in candidates[:_MAX_SHOWN])
    if len(candidates) > 1:
        some = f", of which these are {_MAX_SHOWN}" if len(candidates) > _MAX_SHOWN else ""
        problem = f"it can be read in {len(candidates)} ways{some}:\n{entries}\n"
        raise InputError(root, problem, "Copy the intended one into conf/local/catalog.yml")
    if first.n_unused_masks > _MAX_UNUSED_MASKS * first.n_pairs:
        what = f"{first.n_unused_masks} files that are called masks"
        problem = f"the detected layout leaves out {what}:\n{entries}\n"
        fix = "If that is intended, copy it into conf/local/catalog.yml; otherwise correct it there"
        raise InputError(root, problem, fix)
    return first


def find_candidates(root: Path) -> list[LayoutCandidate]:
    """Return all layouts that a folder or archive may have, those with more images first.

    A candidate whose pairs are only a part of another one's is left out.
    """
    listing = list_files(root)
    object_counts = _count_objects(listing)
    special = [
        LayoutCandidate("cell_tracking", options)
        for truth, options in (("GT", {}), ("ST", {"truth": "ST"}))
        if any(f"_{truth}/SEG/man_seg" in name for name in listing.files)
    ]
    if sum(map(bool, object_counts.values())) > 1:
        special.append(LayoutCandidate("objects"))
    tried = _try(listing, special)
    has_objects = any(count > 1 for count in object_counts.values())
    if not any(has_objects or candidate.layout == "cell_tracking" for candidate in tried):
        by_name = use_fields_of_view(listing, find_name_candidates(listing))
        for found in (find_table_candidates(listing), by_name):
            candidates = [LayoutCandidate(*each) for each in found]
            tried += _try(listing, [*candidates, *_join_splits(candidates)])
    # Among those that make the same pairs the simplest comes first, and splits before none.
    tried.sort(key=lambda each: (-len(each.made), not each.splits, len(each.options)))
    kept: list[LayoutCandidate] = []
    for each in tried:
        if not any(each.made <= of.made and (of.splits or not each.splits) for of in kept):
            kept.append(each)
    return kept


def _try(listing: FileListing, candidates: Iterable[LayoutCandidate]) -> list[LayoutCandidate]:
    """Return the candidates that make pairs, with the pairs and counts."""
    tried = []
    for candidate in candidates:
        layout, options, splits = candidate.layout, candidate.options, candidate.splits
        try:
            pairing = find_pairs(listing, layout, options, splits)
        except InputError:
            continue
        if pairing.pairs:
            made = frozenset((str(pair.image), pair.annotation.where) for pair in pairing.pairs)
            unused, masks = _list_unused(listing, pairing)
            n_masks = 0 if layout in ("cell_tracking", "objects") else len(masks)
            counts = (len(pairing.pairs), len(unused), n_masks)
            tried.append(LayoutCandidate(layout, options, splits, *counts, made))
    return tried


def _list_unused(listing: FileListing, pairing: Pairing) -> tuple[list[str], list[str]]:
    """Return the images that are no part of a pairing, and those of them that are called masks."""
    images = {str(pair.image.file) for pair in pairing.pairs}
    used = {str(image.file) for image in pairing.unlabelled.values()} | images
    used.update(str(file) for pair in pairing.pairs for file in pair.annotation.files)
    used.update(str(pair.region) for pair in pairing.pairs if pair.region is not None)
    unused = [n for n, file in listing.files.items() if is_image(n) and str(file) not in used]
    names = [name for name, file in listing.files.items() if str(file) in images]
    shared = {word for name in names for word in _WORD_ENDS.split(name)}
    words = {n: " ".join(w for w in _WORD_ENDS.split(n) if w not in shared) for n in unused}
    return unused, [name for name in unused if has_mask_word(words[name])]


def _count_objects(listing: FileListing) -> dict[str, int]:
    """Count the masks in `<id>/masks` by id for each folder with one image in `<id>/images`.

    There are none where most folders have several images and masks.
    """
    counts = Counter(map(split_name, filter(is_image, listing.files)))
    ids = [identifier for identifier, folder in counts if folder == "images"]
    single = {i: counts[i, "masks"] for i in ids if counts[i, "images"] == 1}
    several = [i for i in ids if counts[i, "images"] > 1 and counts[i, "masks"]]
    return single if len(several) < sum(map(bool, single.values())) else {}


def _join_splits(candidates: list[LayoutCandidate]) -> list[LayoutCandidate]:
    """Join candidates that differ only in a word for a split, such as `train` and `val`."""
    groups: dict[tuple[int, str, str], dict[str, list[LayoutCandidate]]] = {}
    for candidate in candidates:
        words = {w for text in candidate.options.values() for w in find_split_words(text)}
        for word in sorted(words):
            for rule, blanked in enumerate(_blank(candidate.options, word)):
                by_split = groups.setdefault((rule, candidate.layout, blanked), {})
                by_split.setdefault(parse_split("splits", word), []).append(candidate)
    joined: list[LayoutCandidate] = []
    for rule, layout, blanked in sorted(groups, key=lambda key: key[0]):
        by_split = groups[rule, layout, blanked]
        sole = {split: found[0] for split, found in by_split.items() if len(found) == 1}
        if "train" in sole and len(by_split) == len({id(c) for c in sole.values()}) > 1:
            splits = {split: sole[split].options for split in SPLITS if split in sole}
            candidate = LayoutCandidate(layout, {}, splits)
            joined += [candidate] if candidate not in joined else []
    return joined


def _blank(options: dict[str, str], word: str) -> tuple[str, str, str]:
    """Blank a word in options: everywhere, where it occurs last, or everywhere but in patterns."""
    everywhere = {key: text.replace(word, "*") for key, text in options.items()}
    last = {key: "*".join(text.rsplit(word, 1)) for key, text in options.items()}
    patterns = {key: text for key, text in options.items() if key.endswith("_pattern")}
    return str(everywhere), str(last), str(everywhere | patterns)
