"""Removal of credentials and home folders from what is logged."""

import os
import re
from collections.abc import Collection

from unetflow.io.files import hide_home

_USER_IN_ADDRESS = re.compile(r"(?<=://)[^/?#\s'\"<>]*@")
"""User and password, as in `https://user:password@host`."""

HIDDEN = "***"


def redact(text: str, secrets: Collection[str] = ()) -> str:
    """Remove secrets, passwords in addresses and the home folder from a text.

    Args:
        text: Any text.
        secrets: Texts to replace by `***`, such as passwords.

    Returns:
        The text without secrets, without users and passwords in addresses, and with `~` for the
        home folder.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return hide_home(_USER_IN_ADDRESS.sub("", text))


def find_secrets(credentials: object) -> set[str]:
    """Return the texts in nested credentials, and MLflow's passwords in the environment.

    Texts of fewer than six characters are left out: they would match everywhere.
    """
    found = {os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in ("PASSWORD", "TOKEN")}
    waiting = [credentials]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)
        else:
            found.add(value if isinstance(value, str) else "")
    return {secret for secret in found if len(secret) >= 6}
