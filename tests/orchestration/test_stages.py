"""The stages of a retraining as runs of their own."""

import os
import sys
import threading
from collections.abc import Callable

import mlflow
import pytest
import yaml

from tests.support.stage_runs import run_stage_here
from unetflow.core.errors import InputError
from unetflow.orchestration import stages
from unetflow.orchestration.configuration import digest_listing, read_configuration
from unetflow.pipeline_registry import register_pipelines
from unetflow.tracking.mlflow_runs import RUN_KEY, read_run_key


def test_each_node_of_the_retraining_belongs_to_one_stage_and_none_needs_a_later_one() -> None:
    whole = register_pipelines()["retraining"]
    parts = [whole.only_nodes_with_tags(*tags) for tags in stages.STAGES.values()]
    assert sorted(n.name for p in parts for n in p.nodes) == sorted(n.name for n in whole.nodes)
    for number, part in enumerate(parts):
        for later in parts[number + 1 :]:
            assert not part.inputs() & later.all_outputs()


def test_the_command_names_the_stage() -> None:
    assert stages.build_command("preparation")[1:] == [
        "-m",
        "unetflow",
        "--pipelines",
        "retraining",
        "--tags",
        "planning,augmentation,construction",
    ]


@pytest.fixture
def program(monkeypatch):
    """Run a program of the test's own in place of a stage."""

    def use(code: str) -> None:
        monkeypatch.setattr(stages, "build_command", lambda stage: [sys.executable, "-c", code])

    return use


def test_a_stage_gets_folder_and_key_and_each_line_is_passed_on(program, tmp_path) -> None:
    program(f"import os; print(os.getcwd()); print(os.environ['{RUN_KEY}'])")
    lines: list[str] = []
    stages.run_stage(tmp_path, "training", "key", 600, lines.append)
    assert lines == [str(tmp_path), "key"]


def test_a_stage_that_fails_says_what_it_printed_last(program, tmp_path) -> None:
    program("print('a long story'); raise SystemExit('folder: it is not there. Correct it.')")
    with pytest.raises(stages.StageError, match=r"exit code 1:\n(.|\n)*it is not there"):
        stages.run_stage(tmp_path, "training", "key", 600)


@pytest.fixture
def pass_limit(monkeypatch) -> Callable[[str], None]:
    """Return a listener that lets the time limit pass when the stage prints its first line."""
    timers: list[threading.Timer] = []

    class PatientTimer(threading.Timer):
        def start(self) -> None:
            timers.append(self)

    def listen(line: str) -> None:
        if line == "begun":
            threading.Thread(target=timers[0].function).start()

    monkeypatch.setattr(stages.threading, "Timer", PatientTimer)
    return listen


def test_a_stage_that_takes_too_long_is_interrupted(program, tmp_path, pass_limit) -> None:
    program(
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "try:\n  print('begun'); time.sleep(60)\n"
        "except KeyboardInterrupt:\n  print('ended in order')"
    )
    lines: list[str] = []

    def listen(line: str) -> None:
        lines.append(line)
        pass_limit(line)

    with pytest.raises(stages.StageError, match="took longer"):
        stages.run_stage(tmp_path, "training", "key", 3600, listen)
    assert lines == ["begun", "ended in order"]


def test_a_stage_that_ignores_its_signal_is_killed(
    program, tmp_path, monkeypatch, pass_limit
) -> None:
    monkeypatch.setattr(stages, "_GRACE_SECONDS", 0.5)
    program(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('begun'); time.sleep(60)"
    )
    with pytest.raises(stages.StageError, match="took longer"):
        stages.run_stage(tmp_path, "training", "key", 3600, pass_limit)


def test_a_cancelled_stage_ends_with_its_orchestrator(program, tmp_path) -> None:
    program(  # SIGTERM may be ignored in the shell of the tests
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_DFL); "
        "print(os.getpid()); time.sleep(60)"
    )
    begun: list[int] = []

    def cancel(line: str) -> None:
        if line.isdigit():
            begun.append(int(line))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        stages.run_stage(tmp_path, "training", "key", 600, cancel)
    with pytest.raises(ProcessLookupError):
        os.kill(begun[0], 0)


def test_key_that_mlflow_could_not_search_for_is_refused(monkeypatch) -> None:
    monkeypatch.setenv(RUN_KEY, "scheduled__2026-11-24T02:15:00+00:00")
    assert read_run_key() == "scheduled__2026-11-24T02:15:00+00:00"
    monkeypatch.setenv(RUN_KEY, "' OR 1")
    with pytest.raises(InputError, match=RUN_KEY):
        read_run_key()


def test_listing_changes_with_names_sizes_and_times(tmp_path) -> None:
    folder = tmp_path / "labelled"
    assert digest_listing(folder) is None
    folder.mkdir()
    seen = {digest_listing(folder)}
    (folder / "a.png").write_bytes(b"1")
    seen.add(digest_listing(folder))
    assert digest_listing(folder) in seen
    (folder / "a.png").write_bytes(b"22")
    seen.add(digest_listing(folder))
    os.utime(folder / "a.png", ns=(1, 1))
    seen.add(digest_listing(folder))
    (folder / "a.png").rename(folder / "b.png")
    seen.add(digest_listing(folder))
    assert len(seen) == 5
    assert digest_listing(folder / "b.png") is not None  # a zip, for instance


def test_parameters_of_orchestration_are_checked(project) -> None:
    assert read_configuration(project).orchestration.retries == 2
    local = project / "conf" / "local" / "orchestration.yml"
    local.write_text(yaml.safe_dump({"retrys": 3}))
    with pytest.raises(InputError, match="Did you mean 'retries'"):
        read_configuration(project)


@pytest.mark.process
def test_a_real_stage_that_is_ended_ends_its_run_of_mlflow(project) -> None:
    def end_when_at_work(line: str) -> None:
        if "Running node" in line:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        stages.run_stage(project, "ingestion", "key", 600, end_when_at_work)
    (run,) = mlflow.MlflowClient(f"sqlite:///{project / 'mlflow.db'}").search_runs(["1"])
    assert run.info.status == "KILLED"
    assert run.data.tags["orchestrator_run"] == "key"


@pytest.mark.process
def test_a_stage_is_refused_where_another_retraining_has_begun_since(project) -> None:
    owner = project / "data/08_reporting/retraining.run"
    run_stage_here(project, "ingestion", "first", 600)
    assert owner.read_text() == "first"
    run_stage_here(project, "ingestion", "second", 600)
    assert owner.read_text() == "second"
    with pytest.raises(stages.StageError, match="another retraining has started in this folder"):
        stages.run_stage(project, "gate", "first", 600)
    outcome = project / "data/08_reporting/retraining.json"
    assert not outcome.exists()  # it would be the other one's
