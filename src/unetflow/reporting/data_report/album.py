"""Selection of the samples that are shown, and their thumbnails."""

import numpy as np
import pandas as pd

from unetflow.data.samples import SampleFolder
from unetflow.reporting.data_report.class_outlines import EDGE, draw_thumbnail
from unetflow.reporting.html.elements import PagePicture
from unetflow.reporting.html.wording import SPLIT_NAMES, count_of, ordered_splits
from unetflow.visualization.overlays import fit_shape, to_address


class Album:
    """Draws thumbnails, each once.

    Args:
        samples: The samples.
        table: A row for each sample; see `write_data_report`.
    """

    def __init__(self, samples: SampleFolder, table: pd.DataFrame) -> None:
        self._samples = samples
        known = table[["id", "width", "height", "split", "objects"]]
        self._rows = {row["id"]: row for row in known.to_dict("records")}
        self._drawn: dict[str, PagePicture] = {}

    def find(self, sample_id: str) -> PagePicture | None:
        """Return the thumbnail of a sample, or None where there is no such sample."""
        if sample_id in self._rows and sample_id not in self._drawn:
            row = self._rows[sample_id]
            size = row["height"], row["width"]
            height, width = fit_shape(size, EDGE, enlarge=True)
            form = f"{row['width']} x {row['height']}, {SPLIT_NAMES[row['split']]}"
            caption = sample_id, form, count_of(int(row["objects"]), "object")
            address = to_address(draw_thumbnail(self._samples[sample_id]))
            self._drawn[sample_id] = PagePicture(address, caption, width, height)
        return self._drawn.get(sample_id)


def choose_images(table: pd.DataFrame, most: int) -> dict[str, list[str]]:
    """Choose images of each split, from the least to the most foreground.

    The splits take turns, so that a small one is shown as well as a large one. Within a split, the
    chosen images are evenly spaced in the order of the foreground fraction.

    Args:
        table: With the columns `id`, `split` and `foreground`.
        most: Largest number of images.

    Returns:
        The chosen ids of each split that has images.
    """
    ordered = table.sort_values(["foreground", "id"])
    ids = {
        s: ordered.loc[ordered["split"] == s, "id"].tolist() for s in ordered_splits(table["split"])
    }
    numbers = dict.fromkeys(ids, 0)
    while sum(numbers.values()) < min(most, len(table)):
        unfinished = [split for split in ids if numbers[split] < len(ids[split])]
        for split in unfinished[: most - sum(numbers.values())]:
            numbers[split] += 1
    return {
        split: [ids[split][place] for place in _spread(len(ids[split]), number)]
        for split, number in numbers.items()
        if number
    }


def _spread(length: int, number: int) -> list[int]:
    """Return evenly spaced places, including the first and the last."""
    if number == 1:
        return [length // 2]
    return [round(place) for place in np.linspace(0, length - 1, number)]
