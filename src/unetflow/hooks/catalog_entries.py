"""Base of the hooks that ask what the catalog says of an entry."""

from typing import Any

from kedro.framework.hooks import hook_impl


class CatalogHooks:
    """Keeps the configuration of the catalog: paths and metadata of its entries."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, Any]] = {}

    @hook_impl
    def after_catalog_created(self, conf_catalog: dict[str, Any]) -> None:
        """Keep the configuration."""
        self._entries = conf_catalog

    def _metadata_of(self, dataset_name: str, reader: str) -> dict[str, Any]:
        """Return the metadata of an entry that are for a reader, such as `mlflow`."""
        metadata = self._entries.get(dataset_name, {}).get("metadata") or {}
        found: dict[str, Any] = metadata.get(reader, {})
        return found
