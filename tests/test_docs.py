"""The tutorial runs from its first cell to its last, and leads nowhere that is not there."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

TUTORIAL = Path(__file__).parents[1] / "docs/tutorials/ten_minutes.ipynb"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestWarning")
def test_the_tutorial_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    notebook = nbformat.read(TUTORIAL, as_version=4)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": tmp_path}}).execute()
    text = "".join(
        str(output.get("text", "")) for cell in notebook.cells for output in cell.get("outputs", [])
    )
    assert "student: AUC" in text
    assert "family 1:" in text


def test_the_tutorial_has_no_links_between_pages():
    """The site has a notebook elsewhere than a clone does: a relative link fails in one of both."""
    for cell in nbformat.read(TUTORIAL, as_version=4).cells:
        assert "](.." not in cell.source
        assert ".md)" not in cell.source
