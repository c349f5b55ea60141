import pandas as pd
import pytest

from tests.support.report_page import CLASSES, DUPLICATES, LEAKS, QUARANTINE, some
from unetflow.reporting.data_report import renewal
from unetflow.reporting.data_report.page import write_data_report
from unetflow.reporting.data_report.renewal import renew_data_report


def state(**changes):
    samples, table = some(5)
    samples.descriptions = {name: {"id": name, "stamp": "1"} for name in samples}
    frames = {
        "quarantine": pd.DataFrame(columns=QUARANTINE),
        "duplicates": pd.DataFrame(columns=DUPLICATES),
        "leaks": pd.DataFrame(columns=LEAKS),
    }
    state = {"table": table, "samples": samples, "classes": CLASSES, "title": "Cells", **frames}
    return state | changes


def another_stamp():
    samples = state()["samples"]
    samples.descriptions["s001"]["stamp"] = "2"
    return samples


CHANGES = [
    {"title": "Nuclei"},
    {"classes": ["background", "cell"], "table": some(5)[1].assign(fraction_cell=0.1)},
    {"table": some(5)[1].assign(split="train")},
    {"quarantine": pd.DataFrame([("a.tif", "empty", "Copy it")], columns=QUARANTINE)},
    {"duplicates": pd.DataFrame([("s001", "s002", "equal", 0, 1.0)], columns=DUPLICATES)},
    {"leaks": pd.DataFrame([("group", "s001", "s002", "train", "test")], columns=LEAKS)},
    {"samples": another_stamp()},
]


def test_first_page_is_that_of_the_writer_with_a_digest():
    page, data = renew_data_report(None, **state()), state()
    assert page.startswith(write_data_report(**data).rstrip())


def test_page_of_the_same_data_is_not_drawn_again(monkeypatch):
    page = renew_data_report(None, **state())
    monkeypatch.delattr(renewal, "write_data_report")
    assert renew_data_report(page, **state()) is page


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_page_of_other_data_is_drawn(monkeypatch, change):
    page = renew_data_report(None, **state())
    monkeypatch.setattr(renewal, "write_data_report", lambda *_: "another page")
    assert renew_data_report(page, **state(**change)).startswith("another page")


def test_page_that_other_code_drew_is_drawn_again(monkeypatch):
    page = renew_data_report(None, **state())
    monkeypatch.setattr(renewal, "_code_digest", lambda: b"other code")
    assert renew_data_report(page, **state()) != page
