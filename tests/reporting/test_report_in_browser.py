"""The pages as a browser without a network sees them; needs Chromium."""

import json
import re
import shutil
import subprocess

import pytest

from tests.support.evaluation_page import everything
from tests.support.report_page import report as data_report
from tests.support.report_page import some

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
PHONE = 390

pytestmark = [
    pytest.mark.process,
    pytest.mark.xdist_group("pages"),  # written once
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed"),
]

RULE = "default-src 'none'; "
MEASURE = """<script>addEventListener("load", () => parent.postMessage({
  name: document.title,
  width: document.documentElement.scrollWidth,
  broken: [...document.images].filter(image => !image.naturalWidth).length,
  paper: getComputedStyle(document.body).backgroundColor
}, "*"))</script>"""
# A window has a least width, which frames don't have.
FRAMES = """<!DOCTYPE html><meta name="color-scheme" content="light dark"><title>[]</title>
<script>addEventListener("message", event => {
  document.title = JSON.stringify([...JSON.parse(document.title), event.data])
})</script>"""


def look(pages, folder, *options):
    """Open pages as on a phone; return what they measured, and the browser's complaints."""
    frames = FRAMES
    for number, page in enumerate(pages):
        # One allowance, for the script that measures; the page's own rule stays in force.
        assert RULE in page
        allowed = page.replace(RULE, RULE + "script-src 'unsafe-inline'; ")
        (folder / f"{number}.html").write_text(allowed.replace("</head>", MEASURE + "</head>"))
        frames += f'<iframe src="{number}.html" width="{PHONE}" height="800" style="border: 0">'
        frames += "</iframe>"
    (folder / "frames.html").write_text(frames)
    command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += [f"--user-data-dir={folder / 'profile'}", "--dump-dom", "--enable-logging=stderr"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--hide-scrollbars"]
    command += ["--virtual-time-budget=5000", *options, (folder / "frames.html").as_uri()]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    measured = json.loads(re.search("<title>(.*?)</title>", done.stdout)[1])
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return {page.pop("name"): page for page in measured}, complaints


def test_browser_detects_a_request_and_a_wide_page(tmp_path):
    bad = '<img src="https://example.org/a.png"><div style="width: 900px">wide</div></body>'
    seen, complaints = look([everything().replace("</body>", bad)], tmp_path)
    assert seen["Evaluation report"]["broken"] == 1
    assert seen["Evaluation report"]["width"] > 900
    assert len(complaints) == 1
    assert "Content Security Policy" in complaints[0]


@pytest.mark.parametrize(
    ("paper", "options"),
    [("rgb(255, 255, 255)", []), ("rgb(21, 23, 26)", ["--blink-settings=preferredColorScheme=0"])],
    ids=["light", "dark"],
)
def test_pages_fit_a_phone_and_request_nothing(tmp_path, paper, options):
    pages = [everything(), data_report(*some(30)).html]
    seen, complaints = look(pages, tmp_path, *options)
    expected = {"width": PHONE, "broken": 0, "paper": paper}
    assert seen == {"Evaluation report": expected, "Data report": expected}
    assert complaints == []
