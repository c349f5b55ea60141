"""What must not leave the machine with a record: credentials, and whose home folder it was."""

import os
import re
from collections.abc import Collection

from unetflow.io.files import hide_home

_USER_IN_ADDRESS = re.compile(r"(?<=://)[^/?#\s'\"<>]*@")
"""User and password, as in `https://user:password@host`."""

HIDDEN = "***"


def redact(text: str, secrets: Collection[str] = ()) -> str:
    """Take out of a text what others need not know.

    Args:
        text: Of any kind.
        secrets: What must not stand in it, such as passwords; `***` stands for them.

    Returns:
        The text without them, without users and passwords of addresses, and with `~` for the
        user's home folder.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return hide_home(_USER_IN_ADDRESS.sub("", text))


def find_secrets(credentials: object) -> set[str]:
    """Return the texts in nested credentials, and the passwords that MLflow takes from outside.

    Texts of fewer than six characters are left out: they would be found everywhere.
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
