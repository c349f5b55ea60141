import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetflow.core.errors import InputError
from unetflow.reporting.run_comparison import (
    TrackedRun,
    align_scores,
    choose_disputed,
    find_differences,
    label_runs,
    same_data,
)


def run(run_id, scores=(), parameters=(), tags=()):
    table = pd.DataFrame(scores, columns=["id", "dice"]).astype({"dice": float})
    return TrackedRun(
        run_id, "training", "2026-01-01", dict(parameters), dict(tags), pd.DataFrame(), table, {}
    )


def test_runs_are_labelled_by_the_start_of_their_ids():
    assert label_runs([run("0123456789"), run("9876543210")]) == ["01234567", "98765432"]
    assert label_runs([run("0123456789"), run("0123456799")]) == ["012345678", "012345679"]


@pytest.mark.parametrize(("ids", "words"), [("a", "there is 1"), ("aa", "occurs twice")])
def test_one_run_cannot_be_compared(ids, words):
    with pytest.raises(InputError, match=words):
        label_runs([run(name) for name in ids])


def test_parameters_that_differ_are_listed_and_those_that_agree_are_not():
    one = run("a" * 9, parameters={"seed": "1", "training.epochs": "5", "old": "x"})
    two = run("b" * 9, parameters={"seed": "1", "training.epochs": "6"})
    table = find_differences([one, two])
    assert table.columns.tolist() == ["parameter", "aaaaaaaa", "bbbbbbbb"]
    assert table.to_numpy().tolist() == [["old", "x", "-"], ["training.epochs", "5", "6"]]


def test_only_images_that_all_runs_have_scored_are_compared():
    one = run("a", [("x", 0.5), ("y", 0.25), ("z", None), ("w", 1)])
    two = run("b", [("z", 1), ("y", 0.75), ("x", 0.5)])
    aligned = align_scores([one, two], "dice")
    assert aligned.index.tolist() == ["x", "y"]
    assert aligned["b"].tolist() == [0.5, 0.75]
    assert align_scores([one, two], "iou").empty


def test_most_disputed_image_comes_first_and_an_agreed_one_not_at_all():
    aligned = pd.DataFrame(
        {"a": [0.5, 0.9, 0.3], "b": [0.5, 0.1, 0.4]}, index=["same", "far", "near"]
    )
    assert choose_disputed(aligned, 5) == ["far", "near"]
    assert choose_disputed(aligned, 1) == ["far"]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12))
def test_no_image_left_out_is_more_disputed_than_one_that_is_shown(pairs):
    aligned = pd.DataFrame(pairs, columns=["a", "b"], index=[str(n) for n in range(len(pairs))])
    shown = choose_disputed(aligned, 3)
    spread = (aligned["a"] - aligned["b"]).abs()
    left_out = spread.drop(shown)
    assert left_out.empty or not shown or left_out.max() <= spread[shown].min()


def test_data_are_the_same_when_their_digests_are():
    digests = [run(name, tags={"data_digest": digest}) for name, digest in ("ax", "bx", "cy")]
    assert same_data(digests[:2]) is True
    assert same_data(digests) is False
    assert same_data([*digests, run("d")]) is None
