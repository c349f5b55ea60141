"""The examples for schedulers and the container fit the project and each other."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import unetflow
from unetflow.pipeline_registry import register_pipelines

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "docs" / "scheduling"
FIVE_FIELDS = re.compile(r"(\S+ ){4}\S+")


def read(name):
    return (EXAMPLES / name).read_text(encoding="utf-8")


def read_unit(name):
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read_string(read(name))
    return parser


def instructions():
    """Return the instructions of the Dockerfile, each on one line."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


@pytest.fixture(scope="module")
def job():
    return yaml.safe_load(read("kubernetes.yml"))


@pytest.fixture(scope="module")
def pod(job):
    return job["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def test_every_example_is_linked():
    text = (ROOT / "docs" / "scheduling.md").read_text(encoding="utf-8")
    for path in EXAMPLES.iterdir():
        assert f"(scheduling/{path.name})" in text


def test_every_command_names_a_pipeline_that_there_is():
    texts = [path.read_text(encoding="utf-8") for path in EXAMPLES.iterdir()]
    texts += [(ROOT / name).read_text(encoding="utf-8") for name in ("Dockerfile",)]
    texts.append((ROOT / "docs" / "scheduling.md").read_text(encoding="utf-8"))
    named = [name for text in texts for name in re.findall(r'--pipelines[" ,]+(\w+)', text)]
    named += re.findall(r'"pipeline_names": \["(\w+)"\]', texts[-1])
    assert len(named) >= 6
    assert set(named) <= register_pipelines().keys()


def test_cron_runs_once_a_day_and_sends_mail_of_failures_only():
    (line,) = [line for line in read("crontab").splitlines() if "kedro" in line]
    assert FIVE_FIELDS.match(line)
    command = line.split(maxsplit=5)[5]
    assert re.search(r"> (\S+) 2>&1 \|\| cat \1$", command)


def test_systemd_starts_one_run_at_a_time_in_the_projects_folder():
    service = read_unit("unetflow-retraining.service")["Service"]
    assert service["Type"] == "oneshot"
    assert service["ExecStart"].startswith(f"{service['WorkingDirectory']}/.venv/bin/kedro run")
    assert service["ReadWritePaths"] == service["WorkingDirectory"]
    assert read_unit("unetflow-retraining.timer")["Timer"]["Persistent"] == "true"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_finds_nothing_wrong(tmp_path):
    for path in EXAMPLES.glob("unetflow-retraining.*"):
        text = re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", path.read_text(encoding="utf-8"))
        (tmp_path / path.name).write_text(re.sub(r"User=\S+", "User=root", text))
    units = sorted(map(str, tmp_path.iterdir()))
    result = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "unetflow-retraining" not in result.stderr


def test_github_actions_may_only_read_and_runs_one_at_a_time():
    workflow = yaml.safe_load(read("github-actions.yml"))
    (schedule,) = workflow[True]["schedule"]  # YAML 1.1 reads `on` as true
    assert FIVE_FIELDS.fullmatch(schedule["cron"])
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] is False
    (train, show) = workflow["jobs"]["retraining"]["steps"]
    assert "--pipelines retraining" in train["run"]
    assert show["if"] == "always()"


def test_kubernetes_runs_one_at_a_time_without_rights(job, pod):
    assert FIVE_FIELDS.fullmatch(job["spec"]["schedule"])
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    assert pod["restartPolicy"] == "Never"
    assert pod["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["containers"]
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["image"] == f"unetflow:{unetflow.__version__}"


def test_kubernetes_and_the_container_agree(pod):
    made = dict(instructions())
    assert pod["securityContext"]["runAsUser"] == int(made["USER"])
    assert pod["securityContext"]["fsGroup"] == int(made["USER"])
    assert f"--uid {made['USER']} " in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (container,) = pod["containers"]
    assert container["args"] == yaml.safe_load(made["CMD"])
    assert container["volumeMounts"][0]["mountPath"] == made["VOLUME"]


def test_the_container_is_of_a_fixed_version_and_takes_no_secrets_along():
    names = [name for name, _ in instructions()]
    assert names.index("USER") < names.index("CMD")
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", dict(instructions())["FROM"])
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert ignored[0] == "*"
    taken = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        name
        for instruction, rest in instructions()
        if instruction == "COPY"
        for name in rest.split()[1:-1]
    }
    assert copied == taken
    assert ignored.index("conf/local") > ignored.index("!conf")


HADOLINT = Path(sys.executable).parent / "hadolint"


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint is not made for this machine")
def test_hadolint_finds_nothing():
    result = subprocess.run(
        [HADOLINT, ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout
