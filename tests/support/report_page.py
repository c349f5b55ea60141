"""Made-up samples for the data report, and a reader of its page."""

import base64
import io
import re
from collections import defaultdict
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pandas as pd
from PIL import Image

from unetflow.data.intensity import intensity_histogram
from unetflow.data.samples import Sample
from unetflow.reporting.data_report import write_data_report

CLASSES = ["background", "nucleus"]
QUARANTINE = ["path", "reason", "fix"]
DUPLICATES = ["first", "second", "kind", "distance", "correlation"]
LEAKS = ["kind", "first", "second", "first_split", "second_split"]
VOID = {"meta", "img", "br"}


class Samples(dict):
    """What the report asks of a sample folder, with a note of what was opened."""

    def __init__(self, samples):
        super().__init__(samples)
        self.opened = []

    def __getitem__(self, sample_id):
        self.opened.append(sample_id)
        return super().__getitem__(sample_id)

    def object_areas(self, sample_id):
        label = self.get(sample_id).label
        return np.array([np.count_nonzero(label == 1)])

    def histogram(self, sample_id):
        return intensity_histogram(self.get(sample_id).image)


class Page(HTMLParser):
    """What stands on a page, and whether every element is closed."""

    def __init__(self, html):
        super().__init__()
        self.html, self.elements, self.open = html, [], []
        self.texts = defaultdict(str)
        self.tables, self.figures, self.findings, self.facts = {}, [], [], {}
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append((tag, dict(attributes)))
        place = dict(attributes)
        if tag == "caption":
            self.tables["latest"] = []
        elif tag == "tr":
            self.tables["latest"].append([])
        elif tag in ("td", "th"):
            self.tables["latest"][-1].append("")
        elif tag == "figure":
            self.figures.append({"text": []})
        elif tag == "img" and self.inside("figure"):
            self.figures[-1]["src"] = place["src"]
        elif tag == "li" and self.inside("section", "summary"):
            self.findings.append([place["class"], ""])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def inside(self, tag, identifier=None):
        return any(t == tag and identifier in (None, a.get("id")) for t, a in self.open)

    def handle_data(self, text):
        tag = self.open[-1][0] if self.open else ""
        for name in [a["id"] for t, a in self.open if t == "section"]:
            self.texts[name] += text
        if self.inside("caption"):
            self.tables[text] = self.tables["latest"]
        elif self.inside("td") or self.inside("th"):
            self.tables["latest"][-1][-1] += text
        elif self.inside("figcaption") and text.strip():
            self.figures[-1]["text"].append(text)
        elif tag == "dt":
            self.fact = text
        elif tag == "dd":
            self.facts[self.fact] = text
        elif self.findings and self.inside("li") and self.inside("section", "summary"):
            self.findings[-1][1] += text


def empty(columns):
    return pd.DataFrame(columns=columns)


def square(size=24, side=8, channels=1, dtype=np.uint8, seed=0):
    """Make a noisy image with a square of class 1."""
    image = np.random.default_rng(seed).integers(0, 200, (size, size, channels)).astype(dtype)
    label = np.zeros((size, size), np.uint8)
    label[2 : 2 + side, 2 : 2 + side] = 1
    return Sample(image, label)


def some(count):
    splits = ["train", "train", "validation", "train", "test"]
    samples = Samples({f"s{n:03d}": square(side=n % 7 + 2, seed=n) for n in range(count)})
    return samples, tabulate(samples, [splits[n % 5] for n in range(count)])


def tabulate(samples, splits, classes=CLASSES, **columns):
    rows = []
    for (name, sample), split in zip(samples.items(), splits, strict=True):
        height, width, channels = sample.image.shape
        counted = sample.label[sample.label != 255]
        row = {"id": name, "split": split, "height": height, "width": width, "channels": channels}
        row |= {f"fraction_{c}": np.mean(counted == n) for n, c in enumerate(classes)}
        rows.append(row | {"dtype": sample.image.dtype.name, "image_bytes": sample.image.nbytes})
        rows[-1]["ignored"] = np.mean(sample.label == 255)
    fixed = {
        "objects": 1,
        "touching": 0.0,
        "has_instances": True,
        "overlap": 0,
        "fold": -1,
        "split_rule": "random",
    }
    table = pd.DataFrame(rows).assign(**fixed)
    return table.assign(group=table["id"], **columns)


def report(samples, table, quarantine=(), duplicates=(), leaks=(), classes=CLASSES):
    frames = (
        pd.DataFrame(quarantine, columns=QUARANTINE),
        pd.DataFrame(duplicates, columns=DUPLICATES),
        pd.DataFrame(leaks, columns=LEAKS),
    )
    return Page(write_data_report(table, *frames, samples, classes))


def decode(address):
    kind, _, data = address.partition(";base64,")
    assert kind == "data:image/jpeg"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def read_findings(html):
    """Return the level and the text of each finding, and whether it says what to do."""
    items = r'<li class="(\w+)"><span class="badge">[^<]*</span>(.*?)</li>'
    found = []
    for level, text in re.findall(items, html, re.DOTALL):
        plain = re.sub("<[^>]*>", "", re.sub("<a .*?</a>", "", text))
        sentences = " ".join(unescape(plain).split())
        found.append((level, sentences, ". " in sentences))
    return found


def names_of(page):
    return [figure["text"][0] for figure in page.figures]
