import ast
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell

import unetflow
from tests.support.notebook_runs import NOTEBOOKS, read, run

pytestmark = pytest.mark.xdist_group("notebooks")  # run once, by one process

SOURCES = Path(unetflow.__file__).parent
PROBE = "import sys, unetflow\nprint(sys.executable, unetflow.__file__, sep='\\n')"
OF_THE_PACKAGE = {
    "build_unet",
    "conv_block",
    "decoder_block",
    "draw_nuclei",
    "draw_unet",
    "ElasticGrid",
    "encoder_block",
    "weight_map",
}


def _code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _trees(notebook):
    return [ast.parse(cell.source) for cell in _code_cells(notebook)]


def _defined(trees):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, kinds)}


def _texts(cell):
    """Return what a cell wrote, and nothing of its figures."""
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def _figures(cell):
    return [
        output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})
    ]


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture(scope="module")
def stored(path):
    return nbformat.read(path, as_version=4)


@pytest.fixture(scope="module")
def executed(path, tmp_path_factory):
    """Run a copy in a folder of its own, behind a cell that tells where it runs.

    Its networks train for two rounds, not eight: all texts are the same, and only figures differ.
    """
    folder = tmp_path_factory.mktemp("notebook")
    notebook = read(path)
    (training,) = [cell for cell in _code_cells(notebook) if "ROUNDS = 8 " in cell.source]
    training.source = training.source.replace("ROUNDS = 8 ", "ROUNDS = 2 ")
    notebook.cells.insert(0, new_code_cell(PROBE, id="probe"))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
            patch.setenv(name, str(folder / name))
        run(notebook, folder)
    return notebook


@pytest.mark.process
def test_the_kernel_is_the_interpreter_and_has_the_package_of_the_tests(executed):
    assert _texts(executed.cells[0]).splitlines() == [sys.executable, unetflow.__file__]


@pytest.mark.process
def test_every_cell_runs_without_an_error_or_a_warning(executed):
    cells = _code_cells(executed)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        for output in cell.outputs:
            assert output.output_type != "error", cell.id
            assert output.get("name") != "stderr", output.text


@pytest.mark.process
def test_the_stored_outputs_are_those_of_the_cells(executed, stored):
    for new, old in zip(_code_cells(executed)[1:], _code_cells(stored), strict=True):
        assert _texts(new) == _texts(old)
        assert len(_figures(new)) == len(_figures(old)), old.id


def test_the_notebook_takes_the_functions_of_the_package(stored):
    trees = _trees(stored)
    imports = [node for t in trees for node in ast.walk(t) if isinstance(node, ast.ImportFrom)]
    taken = {a.name for node in imports if node.module.startswith("unetflow.") for a in node.names}
    assert taken >= OF_THE_PACKAGE
    sources = "".join(file.read_text() for file in SOURCES.rglob("*.py"))
    of_the_package = set(re.findall(r"^ *(?:async def|def|class) (\w+)", sources, re.MULTILINE))
    assert of_the_package >= OF_THE_PACKAGE
    assert not _defined(trees) & of_the_package


def test_stored_outputs_are_small_and_have_nothing_of_the_machine(path, stored):
    nbformat.validate(stored)
    text = path.read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    assert stored.metadata == {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(_code_cells(stored), start=1):
        assert cell.execution_count == number
        assert cell.metadata == {}
        assert not re.search(r"/(home|root|tmp|usr|Users)/|[A-Z]:\\", _texts(cell))


def test_every_figure_is_stored_and_the_cells_have_names_for_ids(stored):
    assert sum(len(_figures(cell)) for cell in _code_cells(stored)) >= 12
    ids = [cell.id for cell in stored.cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in ids)  # not chosen by chance
