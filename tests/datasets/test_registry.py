"""The registry's datasets where there is no champion, or no registry."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from kedro.io import DatasetError

from unetflow.core.errors import InputError
from unetflow.datasets.champion import ChampionDataset
from unetflow.pipelines.retraining.pipeline import decide


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> str:
    path = tmp_path_factory.mktemp("registry") / "mlflow.db"
    path.write_bytes(empty_mlflow.read_bytes())
    return f"sqlite:///{path}"


@pytest.fixture
def client(database: str) -> Iterator[mlflow.MlflowClient]:
    """A registry without models: MLflow takes longer to open a new one than to empty it."""
    mlflow.set_tracking_uri(database)
    client = mlflow.MlflowClient()
    yield client
    for model in client.search_registered_models():
        client.delete_registered_model(model.name)


def versions(client: mlflow.MlflowClient, count: int) -> None:
    client.create_registered_model("cells")
    for _ in range(count):
        client.create_model_version("cells", source="/nowhere")


def test_there_is_no_champion_at_first(client):
    assert ChampionDataset(part="model", registered_model=None).load() is None
    for part in ("model", "record"):
        assert ChampionDataset(part=part, registered_model="cells").load() is None
    versions(client, 1)
    for part in ("model", "record"):
        assert ChampionDataset(part=part, registered_model="cells").load() is None
    aliases = ChampionDataset(part="aliases", registered_model="cells").load()
    assert aliases == {"champion": None, "previous": None}


def test_champion_that_cannot_be_read_is_none_with_a_warning(client, caplog):
    versions(client, 1)
    client.set_registered_model_alias("cells", "champion", "1")
    assert ChampionDataset(part="model", registered_model="cells").load() is None
    (record,) = (r for r in caplog.records if r.name == "unetflow.datasets.champion")
    assert record.levelno == logging.WARNING
    assert "The champion of 'cells' cannot be read" in record.getMessage()


def test_champion_without_its_data_cannot_be_retrained(client):
    versions(client, 1)
    client.set_registered_model_alias("cells", "champion", "1")
    with pytest.raises(DatasetError, match=r"has no manifest\.parquet"):
        ChampionDataset(part="record", registered_model="cells").load()


def test_a_retraining_needs_a_registered_model():
    for part in ("record", "aliases"):
        with pytest.raises(DatasetError, match="registered_model: it is null"):
            ChampionDataset(part=part, registered_model=None).load()


class TestMove:
    def test_keeps_the_one_before(self, client):
        versions(client, 2)
        aliases = ChampionDataset(part="aliases", registered_model="cells")
        aliases.save({"version": "1", "instead_of": None})
        assert aliases.load() == {"champion": "1", "previous": None}
        aliases.save({"version": "2", "instead_of": "1"})
        assert aliases.load() == {"champion": "2", "previous": "1"}
        aliases.save({})
        assert aliases.load() == {"champion": "2", "previous": "1"}

    def test_that_has_been_made_already_may_be_made_again(self, client):
        versions(client, 2)
        aliases = ChampionDataset(part="aliases", registered_model="cells")
        aliases.save({"version": "1", "instead_of": None})
        for _ in range(2):  # the second time after the process was killed
            aliases.save({"version": "2", "instead_of": "1"})
            assert aliases.load() == {"champion": "2", "previous": "1"}

    def test_is_refused_when_another_was_faster(self, client):
        versions(client, 3)
        aliases = ChampionDataset(part="aliases", registered_model="cells")
        aliases.save({"version": "2", "instead_of": None})
        with pytest.raises(DatasetError, match="it has become version 2 meanwhile"):
            aliases.save({"version": "3", "instead_of": "1"})
        assert aliases.load() == {"champion": "2", "previous": None}

    @pytest.mark.parametrize("steps", range(5))
    @pytest.mark.parametrize("to", ["3", "1"])  # a promotion, and a rollback
    def test_that_is_cut_off_anywhere_can_be_gone_on_with(self, client, monkeypatch, steps, to):
        versions(client, 3)
        aliases = ChampionDataset(part="aliases", registered_model="cells")
        aliases.save({"version": "1", "instead_of": None})
        aliases.save({"version": "2", "instead_of": "1"})
        move = {"version": to, "instead_of": "2"}
        taken = 0

        def limited(do):
            def step(*arguments):
                nonlocal taken
                if taken == steps:
                    raise KeyboardInterrupt
                taken += 1
                do(*arguments)

            return step

        with monkeypatch.context() as patch:
            for name in ("set_registered_model_alias", "delete_registered_model_alias"):
                method = getattr(mlflow.MlflowClient, name)
                patch.setattr(mlflow.MlflowClient, name, limited(method))
            with contextlib.suppress(KeyboardInterrupt):
                aliases.save(move)
        assert taken == min(steps, 4)
        known = aliases.load()
        assert known == (
            {"champion": "2", "previous": "1"} if steps < 2 else {"champion": to, "previous": "2"}
        )
        aliases.save(move)
        assert aliases.load() == {"champion": to, "previous": "2"}
        left = client.get_registered_model("cells").aliases
        assert {name: str(version) for name, version in left.items()} == aliases.load()
        aliases.save({"version": "2", "instead_of": to})  # and back again
        assert aliases.load() == {"champion": "2", "previous": to}

    def test_to_a_model_that_was_not_registered_is_refused(self, client):
        versions(client, 1)
        with pytest.raises(DatasetError, match="this run's model is not in the registry"):
            ChampionDataset(part="aliases", registered_model="cells").save(
                {"version": None, "instead_of": None}
            )


def test_champion_that_has_gone_while_the_challenger_trained_ends_the_run():
    reason = {"champion": "3", "reason": "r"}
    scores, manifest = pd.DataFrame({"id": ["a"], "dice": [0.9]}), pd.DataFrame()
    with pytest.raises(InputError, match="version 3 could not be read"):
        decide(reason, scores, scores[:0], manifest, {}, 0)
