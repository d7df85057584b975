"""The programs of the README run as they are written there."""

import pathlib

import keras
import numpy as np

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_the_programs_of_the_readme_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    readme = README.read_text(encoding="utf-8")
    programs = [part.split("```")[0] for part in readme.split("```python")[1:]]
    x = np.random.default_rng(0).normal(size=[64, 4]).astype("float32")
    names = {"x": x, "y": x[:, :1]}
    exec(programs[0], names)
    (reading,) = (p for p in programs if p.startswith("\nrecord ="))
    exec(reading, names)
    assert names["record"].steps.tolist() == list(range(20))
    (findings,) = (p for p in programs if p.startswith("\nfor finding in"))
    exec(findings, names)
    (test,) = (p for p in programs if p.startswith("\ndef test_"))
    model = keras.models.clone_model(names["model"])
    model.compile("adam", "mse")
    names["build_model"] = lambda: model
    exec(test, names)
    names["test_the_training_is_healthy"](tmp_path / "healthy")
