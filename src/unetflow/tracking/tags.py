"""Flat parameters and git tags of a run."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested parameters with their path, such as `training.epochs`."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def git_tags(folder: Path) -> dict[str, str]:
    """Return the commit of a folder, and whether files differ from it; empty without git."""
    try:
        import git  # comes with MLflow; the import fails where git is not installed

        repository = git.Repo(folder, search_parent_directories=True)
        return {
            "mlflow.source.git.commit": repository.head.commit.hexsha,
            "git_dirty": str(repository.is_dirty()).lower(),
        }
    except (ImportError, ValueError):  # no git, or no commit yet
        return {}
    except git.GitError:  # no repository
        return {}
