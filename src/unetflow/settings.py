"""Kedro's settings of this project."""

import os
from typing import Any

from unetflow.config_loader import RenamingConfigLoader
from unetflow.core.errors import InputError
from unetflow.hooks.announcements import AnnouncementHooks
from unetflow.hooks.checkpoints import CheckpointHooks
from unetflow.hooks.retraining import RetrainingHooks
from unetflow.hooks.tracking import TrackingHooks
from unetflow.hooks.validation import ValidationHooks


def environment_variable(name: str, default: str | None = None) -> str:
    """Return an environment variable for `${env:NAME}` and `${env:NAME,default}` in `conf/`."""
    value = os.environ.get(name, default)
    if value is None:
        raise InputError(
            f"environment variable {name}",
            "it is not set, and the configuration of this environment needs it",
            f"Set it, as in `export {name}=/path`",
        )
    return value


# Kedro calls the last one first.
HOOKS = (
    CheckpointHooks(),
    TrackingHooks(),
    AnnouncementHooks(),
    RetrainingHooks(),
    ValidationHooks(),
)

# Those of Kedro-Viz would write statistics and events of every run to files that nothing reads.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-viz",)

CONFIG_LOADER_CLASS = RenamingConfigLoader
CONFIG_LOADER_ARGS: dict[str, Any] = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
    "config_patterns": {
        "globals": ["globals*"],
        "mlflow": ["mlflow*"],
        "orchestration": ["orchestration*"],
        "airflow": ["airflow*"],
    },
    "custom_resolvers": {"env": environment_variable},
}
