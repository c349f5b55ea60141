"""What a run is known by: its parameters and the state of the code."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested parameters with their path, as in `training.epochs`."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def git_tags(folder: Path) -> dict[str, str]:
    """Return the commit that the code is at, and whether files differ from it."""
    try:
        import git  # comes with MLflow; its import already fails where git is not installed

        repository = git.Repo(folder, search_parent_directories=True)
        return {
            "mlflow.source.git.commit": repository.head.commit.hexsha,
            "git_dirty": str(repository.is_dirty()).lower(),
        }
    except (ImportError, ValueError):  # no git, or no commit yet
        return {}
    except git.GitError:  # no repository
        return {}
