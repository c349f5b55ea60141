"""Runs notebooks in a kernel of this very interpreter.

`python -m tests.support.notebook_runs` runs those of the project and stores what they put out.
"""

import base64
import io
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
SECONDS_FOR_A_CELL = 600  # far more than it needs: only a cell that hangs reaches it


def read(path: Path) -> NotebookNode:
    """Return a notebook without what it put out when it was stored."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def run(notebook: NotebookNode, folder: Path) -> None:
    """Run all cells in a new kernel, whose current folder is this one; keep what they put out.

    Raises:
        CellExecutionError: A cell raised an error.
    """
    NotebookClient(
        notebook,
        timeout=SECONDS_FOR_A_CELL,
        kernel_name="python3",
        record_timing=False,  # times would make each stored run differ from the last
        resources={"metadata": {"path": str(folder)}},
    ).execute()
    # The kernel adds the version of the interpreter, which says nothing about the notebook.
    notebook.metadata.language_info = {"name": "python"}


def shrink_pictures(notebook: NotebookNode) -> None:
    """Store each picture with a palette of 256 colours, at half the bytes or less."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                picture = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
                file = io.BytesIO()
                small = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE)
                small.save(file, "png", optimize=True)
                output.data["image/png"] = base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    for path in NOTEBOOKS:
        notebook = read(path)
        with tempfile.TemporaryDirectory() as folder:
            run(notebook, Path(folder))
        shrink_pictures(notebook)
        path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
