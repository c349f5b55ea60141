"""Kedro's configuration loader of this project: it understands the names of earlier versions."""

import logging
from collections.abc import Iterable
from typing import Any

from kedro.config import OmegaConfigLoader

from unetflow.config.renames import rename, rename_datasets, rename_parameters

_log = logging.getLogger(__name__)


class RenamingConfigLoader(OmegaConfigLoader):
    """Loads each kind of configuration once, with the names that parameters have now.

    Old names in `parameters`, in presets among the `globals`, in `--params` and of the classes of
    catalog entries are renamed, each with one warning; see `config.renames`.
    """

    def __init__(
        self,
        conf_source: str,
        env: str | None = None,
        runtime_params: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self._warned: set[str] = set()
        runtime_params = dict(runtime_params or {})
        self._rename(runtime_params)
        super().__init__(conf_source, env, runtime_params, **options)

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return the merged configuration of a kind, such as "parameters"."""
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
        """Resolve `${globals:presets.NAME.OLD_NAME}`, too."""
        parts = variable.split(".", 2)
        if parts[0] == "presets" and len(parts) == 3:
            parts[2] = rename(parts[2])
        return super()._get_globals_value(".".join(parts), *default)

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
