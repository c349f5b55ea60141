import mlflow
import pytest
from kedro.io import DatasetError

from unetflow.core.errors import InputError
from unetflow.datasets.tracked_runs import TrackedRunsDataset


@pytest.fixture(scope="module")
def tracked(tmp_path_factory, empty_mlflow):
    """Three evaluated runs, and one that was not; return their ids in that order."""
    folder = tmp_path_factory.mktemp("runs")
    address = f"sqlite:///{folder / 'mlflow.db'}"
    (folder / "mlflow.db").write_bytes(empty_mlflow.read_bytes())
    client = mlflow.MlflowClient(address)
    experiment = client.create_experiment("unetflow", artifact_location=folder.as_uri())
    ids = []
    for number in range(4):
        run = client.create_run(
            experiment, start_time=1000 * (number + 1), run_name=f"run {number}"
        )
        ids.append(run.info.run_id)
        client.log_param(run.info.run_id, "seed", number)
        client.set_tag(run.info.run_id, "preset", "lean")
        if number < 3:
            scores = f"id,dice\n007,0.{number}\n"
            client.log_text(run.info.run_id, scores, "image_scores.csv")
            client.log_dict(run.info.run_id, {"test_images": 1}, "metrics.json")
        if number == 1:
            client.log_text(run.info.run_id, "epoch,loss\n1,0.5\n", "history.csv")
        client.set_terminated(run.info.run_id)
    return address, ids


@pytest.fixture
def ids(tracked):
    """The ids of the runs, while one of the same experiment is under way."""
    address, ids = tracked
    mlflow.set_tracking_uri(address)
    mlflow.set_experiment("unetflow")
    with mlflow.start_run(run_name="comparison") as run:
        yield ids
    mlflow.MlflowClient().delete_run(run.info.run_id)
    mlflow.set_tracking_uri(None)


def load(runs=None, **options):
    return TrackedRunsDataset(runs=runs, **options).load()


def test_latest_evaluated_runs_are_taken_the_earlier_first(ids):
    runs = load()
    assert [run.id for run in runs] == ids[1:3]
    assert [run.id for run in load(latest=3)] == ids[:3]
    first = runs[0]
    assert first.name == "run 1"
    assert first.started == "1970-01-01T00:00:02+00:00"
    assert first.parameters == {"seed": "1"}
    assert first.tags["preset"] == "lean"
    assert first.image_scores.to_dict("list") == {"id": ["007"], "dice": [0.1]}
    assert first.metrics == {"test_images": 1}
    assert first.history["loss"].tolist() == [0.5]
    assert runs[1].history.empty
    assert first.load_segment is None


def test_runs_are_found_by_the_beginnings_of_their_ids(ids):
    assert [run.id for run in load(f"{ids[2]}+{ids[0][:9]}")] == [ids[0], ids[2]]
    assert [run.id for run in load([ids[2], ids[0]])] == [ids[0], ids[2]]


def test_what_is_no_evaluated_run_is_refused(ids):
    with pytest.raises(DatasetError) as caught:
        load("nonsense+more")
    assert isinstance(caught.value.__cause__, InputError)
    assert "no run in the experiment begins with 'nonsense'" in str(caught.value)
    with pytest.raises(DatasetError, match=f"runs: run {ids[3]} .run 3. has no scores"):
        load(ids[3])
    with pytest.raises(DatasetError, match="no run in the experiment"):
        load("")
    with pytest.raises(DatasetError, match="only read"):
        TrackedRunsDataset().save([])
