import numpy as np
import pandas as pd
import pytest

from unetflow.core.errors import InputError
from unetflow.evaluation.class_meaning import keep_meaning


def with_fractions(cell, masks="abcd", **columns):
    """Return a manifest of images, each of which has a mask by its letter."""
    ids = [str(number) for number in range(len(masks))]
    table = {"id": ids, "pixel_digest": [f"p{i}" for i in ids], "mask_sha256": list(masks)}
    fractions = {"fraction_background": 1 - np.array(cell), "fraction_cell": cell}
    return pd.DataFrame(table | fractions | columns)


class TestMeaning:
    cell = (0.3, 0.2, 0.1, 0.2)

    def test_is_kept_where_unchanged_files_have_the_same_fractions(self):
        before = with_fractions(self.cell)
        keep_meaning(before, before)
        keep_meaning(with_fractions((0.3, 0.2, 0.15, 0.2, 0.9), "abxde"), before)
        keep_meaning(with_fractions((0.9,), "x", pixel_digest=["new"]), before)

    def test_is_new_where_the_values_of_the_classes_were_exchanged(self):
        with pytest.raises(InputError) as caught:
            keep_meaning(with_fractions((0.7, 0.8, 0.9, 0.8)), with_fractions(self.cell))
        assert "'cell' covers 80.0% of the pixels of 4 unchanged masks, and 20.0% when" in str(
            caught.value
        )
        assert "registered_model" in caught.value.fix

    def test_is_new_where_a_value_went_to_another_class(self):
        with pytest.raises(InputError, match=r"'cell' covers 20\.5%"):
            keep_meaning(with_fractions((0.3, 0.2, 0.12, 0.2)), with_fractions(self.cell))

    def test_is_new_where_all_masks_were_inverted(self):
        inverted = with_fractions((0.7, 0.8, 0.9, 0.8), "wxyz")
        with pytest.raises(InputError, match="4 changed masks of the same images"):
            keep_meaning(inverted, with_fractions(self.cell))

    def test_is_kept_where_masks_were_corrected(self):
        keep_meaning(with_fractions((0.45, 0.5, 0.3, 0.25), "wxyz"), with_fractions(self.cell))

    def test_pages_of_a_stack_are_told_apart(self):
        before = with_fractions((0.3, 0.2, 0.1, 0.2), "ssss")
        keep_meaning(before, before)
        keep_meaning(before.iloc[::-1], before.assign(pixel_digest=["p0", "p0", "p2", "p3"]))
