import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import score_tables as tables
from unetflow.core.errors import InputError
from unetflow.data.manifest import count_folds, manifest_of_fold
from unetflow.evaluation.fold_summary import gather_scores, summarise_folds
from unetflow.evaluation.headline import describe_scores


def _manifest(folds):
    splits = ["test" if fold < 0 else "train" for fold in folds]
    return pd.DataFrame({"id": [f"{i:02}" for i in range(len(folds))], "fold": folds}).assign(
        split=splits
    )


@given(st.integers(3, 6), st.lists(st.integers(-1, 5), max_size=12))
def test_each_fold_is_the_test_split_once_and_no_fold_is_in_two_splits(count, others):
    manifest = _manifest([*range(count), *(fold % (count + 1) - 1 for fold in others)])
    tested = []
    for fold in range(count_folds(manifest)):
        part = manifest_of_fold(manifest, fold)
        folds = {side: set(rows["fold"]) for side, rows in part.groupby("split")}
        assert folds["test"] == {fold}
        assert len(folds["validation"]) == 1
        assert folds["train"] == set(range(count)) - folds["test"] - folds["validation"]
        assert sorted(part["id"]) == sorted(manifest.loc[manifest["fold"] >= 0, "id"])
        tested += part.loc[part["split"] == "test", "id"].tolist()
    assert sorted(tested) == sorted(manifest.loc[manifest["fold"] >= 0, "id"])


@pytest.mark.parametrize("folds", [[-1, -1], [0, 1, -1]])
def test_fewer_than_three_folds_are_rejected(folds):
    with pytest.raises(InputError, match=r"ingestion\.split\.folds: .* three or more"):
        manifest_of_fold(_manifest(folds), 0)


def _scores(fold, ids, dice):
    return tables.of_dice(dice, ids=ids).assign(fold=fold, threshold=0.5)


def test_scores_keep_the_manifests_order_and_are_summarised_over_images_and_folds():
    manifest = _manifest([2, 0, -1, 1, 0])
    parts = [_scores(0, ["04", "01"], [0.2, 0.4]), _scores(1, ["03"], [0.9])]
    scores = gather_scores([*parts, _scores(2, ["00"], [0.6])], manifest)
    assert scores["id"].tolist() == ["00", "01", "03", "04"]
    assert scores["dice"].tolist() == [0.6, 0.4, 0.9, 0.2]
    summary = summarise_folds(scores, ["background", "cell"])
    assert (summary["class"], summary["folds"], summary["images"]) == ("cell", 3, 4)
    dice = summary["scores"]["dice"]
    assert dice["mean"] == pytest.approx((0.6 + 0.4 + 0.9 + 0.2) / 4)
    assert dice["folds"] == pytest.approx([0.3, 0.9, 0.6])
    assert dice["spread"] == pytest.approx(np.std([0.3, 0.9, 0.6], ddof=1))
    assert (dice["smallest"], dice["largest"]) == (0.2, 0.9)
    assert list(summary["scores"]) == ["dice"]
    with pytest.raises(InputError, match="do not match the images and folds"):
        gather_scores(parts, manifest)


def test_empty_images_of_a_fold_lift_no_score_and_their_false_alarms_are_counted():
    manifest = _manifest([0, 1, 2, 2])
    parts = [_scores(0, ["00"], [0.8]), _scores(1, ["01"], [0.6])]
    empty = tables.of_dice([], [0, 50], ids=["02", "03"]).assign(fold=2, threshold=0.5)
    summary = summarise_folds(gather_scores([*parts, empty], manifest), ["background", "cell"])
    assert summary["scores"]["dice"]["mean"] == pytest.approx(0.7)
    assert summary["scores"]["dice"]["folds"] == [pytest.approx(0.8), pytest.approx(0.6), None]
    assert (summary["empty_images"], summary["false_alarms"]) == (2, 1)
    line = describe_scores(summary)
    assert "over the 2 of 4 images that hold it" in line
    assert "1 of 2 empty images got a false alarm" in line
