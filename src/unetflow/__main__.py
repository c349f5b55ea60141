"""Runs the project as `unetflow` or `python -m unetflow`, with the options of `kedro run`."""

import sys
from typing import Any

from kedro.framework.project import configure_project


def main(*args: Any, **options: Any) -> Any:
    """Run a pipeline."""
    configure_project("unetflow")
    from unetflow.cli import run

    options.setdefault("standalone_mode", not hasattr(sys, "ps1"))
    return run(*args, **options)


if __name__ == "__main__":
    main()
