"""Credentials and home folders are taken out of what is logged."""

import json
from pathlib import Path

import pytest

from unetflow.io.files import hide_home
from unetflow.tracking.redaction import find_secrets, redact


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/ann/cells/a.png: damaged", "~/cells/a.png: damaged"),
        ("sqlite:////home/ann/mlflow.db", "sqlite:///~/mlflow.db"),
        ("in /home/ann.", "in /home/ann."),  # may be another one's
        ("'/home/ann' and (/home/ann)", "'~' and (~)"),
        ("/home/anna/a.png and /home/ann-2", "/home/anna/a.png and /home/ann-2"),
        ("/mnt/home/ann/a.png", "/mnt/home/ann/a.png"),
        ("data/a.png", "data/a.png"),
    ],
)
def test_the_home_folder_becomes_a_tilde(text, shown):
    assert hide_home(text) == shown


def test_it_is_found_in_json_html_and_addresses_too(monkeypatch):
    monkeypatch.setenv("HOME", "/home/jürgen & co")
    assert json.loads(hide_home(json.dumps({"file": "/home/jürgen & co/a.png"}))) == {
        "file": "~/a.png"
    }
    assert hide_home("<td>/home/jürgen &amp; co/a.png</td>") == "<td>~/a.png</td>"
    assert hide_home(Path("/home/jürgen & co/a.png").as_uri()) == "file://~/a.png"


def test_the_root_as_a_home_is_left_alone(monkeypatch):
    monkeypatch.setenv("HOME", "/")
    assert hide_home("/data/a.png / b") == "/data/a.png / b"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://ann:s3cret@host.org/a?b=c@d", "https://host.org/a?b=c@d"),
        ("https://token@host.org", "https://host.org"),
        ("https://ann:s3c@ret@host.org/a", "https://host.org/a"),
        ("https://host.org?to=ann@b.org", "https://host.org?to=ann@b.org"),
        ("postgresql://ann:s3cret@db:5432/mlflow, see", "postgresql://db:5432/mlflow, see"),
        ("https://host.org/@ann/a", "https://host.org/@ann/a"),
        ("ann@host.org", "ann@host.org"),
    ],
)
def test_addresses_lose_user_and_password(text, shown):
    assert redact(text) == shown


def test_secrets_are_hidden_the_longest_first():
    secrets = find_secrets({"store": {"key": "abcdef", "more": ["abcdefgh", 5, None]}, "s": "abc"})
    assert secrets == {"abcdef", "abcdefgh"}
    assert redact("key=abcdefgh, abcdef, abc", secrets) == "key=***, ***, abc"


def test_the_password_for_the_tracking_server_is_a_secret(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "open-sesame")
    assert find_secrets({}) == {"open-sesame"}
