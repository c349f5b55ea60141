import re

import numpy as np
import pandas as pd
import pytest

from tests.support.report_page import Page, square
from unetflow.reporting.run_comparison import TrackedRun, write_comparison

CLASSES = ["background", "nucleus"]


def all_samples():
    return {f"s{n}": square(seed=n) for n in range(8)}


def run(run_id, dices, epochs=3, shift=0, **changes):
    """Make a run whose segmenter finds the square, shifted to the right."""
    values = {
        "name": "training",
        "started": "2026-11-23T10:00:00+00:00",
        "parameters": {"training.epochs": str(epochs), "seed": "1"},
        "tags": {"data_digest": "0123456789abcdef"},
        "history": pd.DataFrame(
            {"epoch": range(1, epochs + 1), "loss": 1.0, "val_dice": np.linspace(0.1, 0.9, epochs)}
        ),
        "image_scores": pd.DataFrame(
            {"id": [f"s{n}" for n in range(len(dices))], "dice": dices, "note": "a word"}
        ),
        "metrics": {"threshold": 0.5},
        "load_segment": lambda: lambda image: np.roll(square().label, shift, axis=1),
    }
    return TrackedRun(run_id, **(values | changes))


def compare(*runs, samples=None):
    page = Page(write_comparison(runs, all_samples() if samples is None else samples, CLASSES))
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.elements}
    assert all(a["src"].startswith("data:image/") for t, a in page.elements if t == "img")
    assert all(a.get("alt") for t, a in page.elements if t == "img")
    return page.html


def words(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


BETTER = [0.9, 0.8, 0.95, 0.7, 0.99, 0.85, 0.92, 0.9]
WORSE = [0.8, 0.69, 0.83, 0.57, 0.85, 0.7, 0.76, 0.73]


def test_significant_difference_is_reported():
    text = words(compare(run("a" * 32, WORSE), run("b" * 32, BETTER, epochs=4, shift=3)))
    assert "2 trainings side by side" in text
    assert "All runs were trained on the same data." in text
    assert re.search(
        r"mean Dice of bbbbbbbb is 0\.135\d higher than that of aaaaaaaa, which is unlikely", text
    )
    assert "training.epochs 3 4" in text
    assert "seed" not in text
    assert re.search(r"dice 8 0\.7412 0\.8762 \+0\.135\d \+0\.\d+ to \+0\.\d+ 0\.0078", text)


@pytest.mark.usefixtures("blank_charts")
def test_parameters_that_differ_are_all_text():
    html = compare(run("a" * 32, WORSE), run("b" * 32, BETTER, epochs=4))
    table = html[html.index("All other parameters are the same") :]
    table = table[: table.index("</table>")]
    assert table.count("<td>") == 3  # the name and a value for each run
    assert "number" not in table


@pytest.mark.usefixtures("blank_charts")
def test_most_disputed_image_is_shown_first_as_each_run_has_it():
    html = compare(run("a" * 32, WORSE), run("b" * 32, BETTER, shift=3))
    headings = re.findall(r"<h3>(s\d)</h3>", html)
    assert headings[0] == "s7"  # 0.73 and 0.9
    assert len(headings) == 8
    first = html[html.index("<h3>s7") : html.index("<h3>", html.index("<h3>s7") + 4)]
    assert re.findall(r"<figcaption>([^<]*)", first) == [
        "truth",
        "aaaaaaaa: Dice 0.730",
        "bbbbbbbb: Dice 0.900",
    ]
    pictures = re.findall(r'src="([^"]*)"', first)
    assert len(set(pictures)) == 3  # truth in blue, two predictions in other places


def test_reasons_for_doubt_are_reported():
    other = run("b" * 32, WORSE[:5], tags={"data_digest": "another"}, load_segment=None)
    text = words(compare(run("a" * 32, WORSE), other, samples={}))
    assert "were not trained on the same data" in text
    assert "Only 5 test images of 8 were scored by all runs" in text
    assert "is the same; too few images differ for a test" in text
    assert "None: the runs have the same parameters" in text
    assert "There are none" in text


def test_runs_without_common_images_history_or_digest_are_shown():
    empty = pd.DataFrame()
    scores = pd.DataFrame({"id": ["elsewhere"], "dice": [0.5]})
    one = run("a" * 32, BETTER, history=empty, tags={})
    text = words(compare(one, run("b" * 32, [], image_scores=scores, history=empty)))
    assert "It is unknown whether all runs" in text
    assert "no test image in common" in text
    assert "No run has a history" in text


@pytest.mark.usefixtures("blank_charts")
def test_missing_images_are_counted():
    runs = run("a" * 32, WORSE), run("b" * 32, BETTER)
    text = words(compare(*runs, samples={"s7": square()}))
    assert "7 of them cannot be shown" in text


def test_three_runs_are_each_compared_with_the_first():
    runs = run("a" * 32, WORSE), run("b" * 32, BETTER), run("c" * 32, BETTER)
    text = words(compare(*runs))
    assert "3 trainings side by side" in text
    assert text.count("higher than that of aaaaaaaa") == 2


@pytest.mark.parametrize("evil", ["<script>alert(1)</script>", '"><img src=x>'])
def test_names_are_escaped(evil):
    one = run("a" * 32, BETTER, name=evil, parameters={evil: evil})
    page = Page(write_comparison([one, run("b" * 32, WORSE)], {}, CLASSES))
    assert not [tag for tag, _ in page.elements if tag in ("script", "img")][1:]
