"""The programs of the README and of docs/ run as they are written there."""

import pathlib

import keras
import numpy as np

ROOT = pathlib.Path(__file__).parents[2]


def programs(path):
    """Returns the Python programs of a page, in their order."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return [part.split("```")[0] for part in text.split("```python")[1:]]


def test_the_programs_that_people_read_first_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=[64, 4]).astype("float32")
    names = {"x": x, "y": x[:, :1]}
    readme = programs("README.md")
    exec(readme[0], names)
    exec(programs("docs/reading.md")[0], names)
    assert names["record"].steps.tolist() == list(range(20))
    (findings,) = (p for p in readme if p.startswith("\nfor finding in"))
    exec(findings, names)
    (test,) = programs("docs/ci.md")
    model = keras.models.clone_model(names["model"])
    model.compile("adam", "mse")
    names["build_model"] = lambda: model
    exec(test, names)
    names["test_the_training_is_healthy"](tmp_path / "healthy")


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 180
