"""`gradscope.show` and what cells end with, in a notebook that is run."""

import nbclient
import nbformat
import runs

CELLS = """
import gradscope, gradscope.notebook, os, shutil, time
gradscope.notebook._EVERY = 0.05
following = gradscope.show("live", follow=True)
---
shutil.copytree("finished/vanishing", "live/vanishing")
while following._sizes is None: time.sleep(0.01)
shutil.copytree("finished/one_step", "live/one_step")
following.stop()
---
gradscope.show("finished")
---
gradscope.diagnose("finished/vanishing")
---
gradscope.read("finished/vanishing")
---
gradscope.read("finished/vanishing").plot("gradient_norm")
"""


def test_in_a_notebook(tmp_path):
    runs.vanishing(tmp_path / "finished")
    runs.one_step(tmp_path / "finished")
    cells = [nbformat.v4.new_code_cell(c) for c in CELLS.split("---")]
    book = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(
        book, timeout=120, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    live, _, shown, findings, record, figure = (
        cell["outputs"][0]["data"] if cell["outputs"] else None
        for cell in book["cells"]
    )
    # The first cell's output was replaced by the page of both runs.
    assert live["text/plain"].startswith("gradscope: 2 runs of live")
    assert "<iframe srcdoc=" in live["text/html"]
    assert "<iframe srcdoc=" in shown["text/html"]
    assert "vanishing-gradient" in findings["text/html"]
    assert findings["text/plain"] == (
        "[<warning: vanishing-gradient in dense_1, from the first step on>]"
    )
    assert "85 steps from 0 to 390" in record["text/html"]
    assert record["text/plain"].startswith("<Record finished/vanishing: 85 s")
    assert "image/png" in figure
