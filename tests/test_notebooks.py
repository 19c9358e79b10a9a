"""The notebooks run top to bottom, tell a story of at most 15 cells, and are committed executed."""

import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def printed(notebook):
    """What the cells print, wall times left out."""
    parts = [o.get("text", "") for c in notebook.cells for o in c.get("outputs", [])]
    return re.sub(r"\d[\d.e-]* s\b|scipy [\d.]+", "", "".join(parts))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("default")  # the kernel's own start-up is not ours to judge
def test_the_notebook_runs_and_prints_what_is_committed(path):
    nbclient = pytest.importorskip("nbclient")
    committed = nbformat.read(path, as_version=4)
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    verdicts = [line for line in printed(notebook).splitlines() if "kept for" in line]
    assert verdicts == [line for line in printed(committed).splitlines() if "kept for" in line]
    assert len(verdicts) >= 4


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_is_short_executed_and_without_errors(path):
    notebook = nbformat.read(path, as_version=4)
    assert len(notebook.cells) <= 15
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert sum("image/png" in o.get("data", {}) for c in code for o in c.outputs) >= 3
    assert not any(o.output_type == "error" for c in code for o in c.outputs)
