"""A package for bioimage.io out of a model that somebody chose."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import Result

from tests.conftest import kedro_run
from tests.support.model_packages import read_package
from unetflow.config.base import read_parameters
from unetflow.config.packaging import PackagingParameters
from unetflow.core.errors import InputError
from unetflow.inference.segmenter import Segmenter
from unetflow.io.formats.readers import read_image

pytestmark = pytest.mark.xdist_group("finished")  # one process makes the run that all look at

ROOT = Path(__file__).parents[2]
DEFAULTS = yaml.safe_load((ROOT / "conf/base/parameters_packaging.yml").read_text())["packaging"]
OWN = """
packaging:
  name: Nuclei of the demo
  licence: CC0-1.0
  authors: [{name: Ann Example, orcid: 0000-0002-1825-0097}]
"""


def packed(project: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(project / "data/06_models/unetflow_bioimageio.zip")


@pytest.mark.slow
def test_the_model_trained_last_is_packaged_with_its_model_card(copy: Path) -> None:
    (copy / "conf/local/parameters.yml").write_text(OWN)
    result = kedro_run(copy, "--pipelines", "packaging")
    assert result.exit_code == 0, result.output
    assert "names no author" not in result.output
    with packed(copy) as archive:
        model = read_package(archive, perform_io_checks=True)
        text = archive.read("README.md").decode()
        with archive.open("test_input.npy") as member:
            given = np.load(member)
        for name in archive.namelist():
            assert str(copy).encode() not in archive.read(name)
    assert model.validation_summary.status == "valid-format"
    assert (model.name, str(model.license)) == ("Nuclei of the demo", "CC0-1.0")
    assert "## Intended use\n\n**No better than" in text
    assert "\n\nSegmentation of nucleus in images like the" in text
    images = [read_image(p) for p in sorted((copy / "data/01_raw/demo/images").iterdir())]
    values = set(np.unique(np.concatenate([image.ravel() for image in images])))
    assert set(np.unique(given)) <= values
    assert Segmenter.load(copy / "data/06_models/segmenter.keras").predict(given[0]).any()


@pytest.mark.slow
def test_a_model_from_elsewhere_needs_no_project_and_no_author(
    finished: tuple[Path, Result], project: Path
) -> None:
    model, images = "data/06_models/segmenter.keras", "data/01_raw/demo/images"
    params = (
        f"segmenter={finished[0] / model},images={finished[0] / images},packaging.version='2.0'"
    )
    result = kedro_run(project, "--pipelines", "packaging", "--params", params)
    assert result.exit_code == 0, result.output
    assert "names no author" in " ".join(result.output.split())
    with packed(project) as archive:
        described = yaml.safe_load(archive.read("rdf.yaml"))
        text = archive.read("README.md").decode()
        (project / "again.keras").write_bytes(archive.read("segmenter.keras"))
    assert (described["license"], described["version"]) == ("MIT", "2.0")
    assert "Intended use" not in text
    again, first = Segmenter.load(project / "again.keras"), Segmenter.load(finished[0] / model)
    assert again.settings == first.settings


def test_the_defaults_are_allowed() -> None:
    assert read_parameters(PackagingParameters, DEFAULTS, "packaging").licence == "MIT"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "U-Net"}, None),
        ({"name": "a/b/c"}, r"packaging\.name: 'a/b/c' is not 5 to 128 letters"),
        ({"name": "four"}, r"packaging\.name: 'four' is not"),
        ({"license": "MIT"}, r"packaging\.license: there is no such parameter. Did you mean 'lic"),
        ({"authors": [{"nam": "Ann"}]}, r"packaging\.authors\.0\.name: the parameter is missing"),
        ({"authors": ["Ann"]}, r"packaging\.authors\.0: 'Ann' is not allowed"),
        ({"tags": "unet"}, r"packaging\.tags: 'unet' is not allowed"),
        ({"version": 1.0}, r"packaging\.version: 1\.0 is not allowed"),
        ({"licence": ""}, r"packaging\.licence: '' is not allowed"),
        ({"description": "x" * 1025}, r"packaging\.description: .* at most 1024 characters"),
    ],
)
def test_a_wrong_parameter_is_named(change: dict[str, object], message: str | None) -> None:
    values = {**DEFAULTS, **change}
    if message is None:
        read_parameters(PackagingParameters, values, "packaging")
        return
    with pytest.raises(InputError, match=message):
        read_parameters(PackagingParameters, values, "packaging")
