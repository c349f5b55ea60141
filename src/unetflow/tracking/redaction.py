"""Removal of credentials and home folders from what is logged."""

import os
import re
from collections.abc import Collection

from unetflow.io.files import hide_home

_USER_IN_ADDRESS = re.compile(r"(?<=://)[^/?#\s'\"<>]*@")
"""User and password, as in `https://user:password@host`."""

HIDDEN = "***"


def redact(text: str, secrets: Collection[str] = ()) -> str:
    """Return a text with `***` for secrets, such as passwords, and `~` for the home folder.

    Users and passwords in addresses are left out.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return hide_home(_USER_IN_ADDRESS.sub("", text))


def find_secrets(credentials: object) -> set[str]:
    """Return the texts in nested credentials, and MLflow's passwords in the environment.

    Texts of fewer than six characters are left out: they would match everywhere.
    """
    of_server = [os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("PASSWORD", "TOKEN")]
    waiting: list[object] = [credentials, *of_server]
    found = set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list | tuple):
            waiting.extend(value.values() if isinstance(value, dict) else value)
        elif isinstance(value, str) and len(value) >= 6:
            found.add(value)
    return found
