"""Kedro's configuration loader of this project: it understands the names of earlier versions."""

import logging
from collections.abc import Iterable
from typing import Any

import psutil
from kedro.config import OmegaConfigLoader

from unetflow.config.renames import rename, rename_datasets, rename_parameters

_log = logging.getLogger(__name__)


_DEMO = "DemoPairsDataset"
_GB = 10**9


class RenamingConfigLoader(OmegaConfigLoader):
    """Loads each kind of configuration once, with the names that parameters have now.

    Old names in `parameters`, in presets among the `globals`, in `--params` and of the classes of
    catalog entries are renamed, each with one warning; see `config.renames`.

    Where neither `--params` nor the globals name a preset, `default_presets` among the globals has
    the one for the data in the catalog.

    Attributes:
        chosen_preset: What was chosen for own data and how to choose otherwise; "" where nothing
            was.
    """

    def __init__(
        self,
        conf_source: str,
        env: str | None = None,
        runtime_params: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self._warned: set[str] = set()
        self.chosen_preset = ""
        self._default: dict[str, Any] = {}
        runtime_params = dict(runtime_params or {})
        self._rename(runtime_params)
        super().__init__(conf_source, env, runtime_params, **options)

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return the merged configuration of a kind, such as "parameters"."""
        if key == "parameters" and key not in self:
            self._default = self._choose_preset()
        found: dict[str, Any] = super().__getitem__(key)
        if key in self or key not in ("parameters", "globals", "catalog"):
            return found
        if key == "globals":
            for preset in found.get("presets", {}).values():
                self._rename(preset)
        elif key == "catalog":
            for entry in found.values():
                self._warn("catalog entry's", rename_datasets(entry))
        else:
            if self._rename(found):  # old names in files win over present ones in files alone
                found = self._soft_merge(found, self.runtime_params, "")
            _replace_loss(found, self.runtime_params)
            self._grant_budget(found)
        self[key] = found
        return found

    def _merge_configs(
        self, config: dict[str, Any], env_config: dict[str, Any], key: str, env_path: str
    ) -> Any:
        """Merge an environment, whose losses replace those of conf/base."""
        merged = super()._merge_configs(config, env_config, key, env_path)
        if key == "parameters":
            _replace_loss(merged, env_config)
        if key == "globals":
            for name, preset in (env_config.get("presets") or {}).items():
                _replace_loss(merged["presets"][name], preset or {})
        return merged

    def _get_globals_value(self, variable: str, *default: Any) -> Any:
        """Resolve `${globals:presets.NAME.OLD_NAME}`, too, and the preset that nothing names."""
        if variable == "preset" and self._default:
            return self._default["preset"]
        parts = variable.split(".", 2)
        if parts[0] == "presets" and len(parts) == 3:
            parts[2] = rename(parts[2])
        return super()._get_globals_value(".".join(parts), *default)

    def _choose_preset(self) -> dict[str, Any]:
        """Return the default preset, and what it comes with, if nothing names one."""
        known = self["globals"]
        if known.get("preset") is not None or self.runtime_params.get("preset"):
            return {}
        is_demo = str(self["catalog"].get("raw_pairs", {}).get("type")).endswith(_DEMO)
        default: dict[str, Any] = known["default_presets"]["demo" if is_demo else "own_data"]
        return default

    def _grant_budget(self, parameters: dict[str, Any]) -> None:
        """Fill what a budget leaves open if the default preset comes with one."""
        default = self._default
        if "minutes" not in default or parameters.get("preset") != default["preset"]:
            return
        budget = parameters["budget"]
        if budget["minutes"] is None:
            budget["minutes"] = default["minutes"]
        if budget["memory_gb"] is None:
            free = psutil.virtual_memory().available / _GB
            # To half a gigabyte: a plan should not change with each small change of the memory.
            budget["memory_gb"] = max(0.5, int(2 * default["free_memory"] * free) / 2)
        self.chosen_preset = (
            f"Own data without a preset: `{default['preset']}` with {budget['minutes']:g} minutes "
            f"and {budget['memory_gb']:g} GB of memory. To choose otherwise, write e.g. `--params "
            "preset=lean`, or `budget.minutes=20,budget.memory_gb=4`"
        )

    def _rename(self, parameters: dict[str, Any]) -> bool:
        return self._warn("parameter", rename_parameters(parameters))

    def _warn(self, what: str, renamed: Iterable[tuple[str, str]]) -> bool:
        """Warn of each old name once, and return whether there was any."""
        found = dict(renamed)
        for old, new in found.items():
            if old not in self._warned:
                _log.warning(
                    "The %s %s is now called %s. The old name still works; write the new one",
                    what,
                    old,
                    new,
                )
        self._warned |= found.keys()
        return bool(found)


def _replace_loss(parameters: dict[str, Any], given: dict[str, Any]) -> None:
    """Replace a loss by a given one: it is one value, whose terms must not be merged."""
    section = given.get("training")
    if isinstance(section, dict) and section.get("loss") is not None:
        parameters["training"]["loss"] = section["loss"]
