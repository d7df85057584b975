"""What a mirror gets of a training, and what happens where it fails.

`make test-readers` has the real packages.
"""

import os
import sys
import types

import keras
import numpy as np
import pytest

import gradscope
from gradscope.errors import GradscopeWarning
from gradscope.mirroring import TOOLS, Mirrors
from gradscope.recording import wandb_sync
from gradscope.wrapping import end_report
from gradscope_plugin.report import build


class Notes:
    """A mirror that notes what it gets."""

    def __init__(self):
        self.scalars, self.findings = [], []

    def log_scalars(self, step, numbers):
        self.scalars.append((step, dict(numbers)))

    def log_findings(self, step, text, counts):
        self.findings.append((step, text, dict(counts)))


class Archive(Notes):
    """A mirror that takes reports, too."""

    def __init__(self):
        super().__init__()
        self.reports = []

    def log_report(self, html):
        self.reports.append(html)


class Broken(Notes):
    def log_scalars(self, step, numbers):
        raise OSError("no route to host")


def fit(logdir, mirror):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Dense(4, "relu", kernel_initializer="zeros"),
            keras.layers.Dense(1, name="dense_11"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.125), "mse")
    x = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
    callback = gradscope.Callback(logdir, mirror=mirror)
    model.fit(x, x[:, :1], 2, epochs=2, verbose=0, callbacks=[callback])
    return model.get_weights()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    logdir, notes = tmp_path_factory.mktemp("logs"), Archive()
    return logdir, notes, fit(logdir, notes)


def test_a_mirror_gets_the_scalars_of_each_recorded_step(trained):
    logdir, notes, _ = trained
    record = gradscope.read(logdir)
    assert [step for step, _ in notes.scalars] == record.steps.tolist()
    norms = [n["gradscope/gradient_norm"] for _, n in notes.scalars]
    np.testing.assert_allclose(norms, record["global_gradient_norm"])
    assert notes.scalars[0][1]["gradscope/learning_rate"] == 0.125
    assert "gradscope/loss_scale" not in notes.scalars[0][1]


def test_a_mirror_gets_the_findings(trained):
    logdir, notes, _ = trained
    ((step, text, counts),) = notes.findings
    found = gradscope.diagnose(logdir)
    assert step == 40 and sum(counts.values()) == len(found)
    assert found[0].kind in text


def test_a_mirror_gets_the_page_if_it_takes_reports(trained):
    logdir, notes, _ = trained
    (html,) = notes.reports
    assert html.startswith("<!doctype html>")
    assert "data-report" in html
    with pytest.MonkeyPatch.context() as context:
        context.setattr(build, "build", lambda *_: 1 / 0)
        with pytest.warns(
            GradscopeWarning, match="could not make the report of .*ZeroDivis"
        ):
            end_report._mirror_report(Mirrors(notes), str(logdir))
        # The page is not built for nobody.
        end_report._mirror_report(Mirrors(Notes()), str(logdir))


@pytest.fixture
def clearml(monkeypatch):
    """The package, of which only the logger of the task is used."""
    calls = []

    class Logger:
        def report_scalar(self, title, series, value, iteration):
            calls.append((title, series, value, iteration))

        def report_media(self, title, series, stream, file_extension):
            calls.append((title, series + file_extension, stream.read()))

    class Task:
        active = True

        @classmethod
        def current_task(cls):
            return cls if cls.active else None

        @staticmethod
        def get_logger():
            return Logger()

    module = types.ModuleType("clearml")
    module.Task, module.calls = Task, calls
    monkeypatch.setitem(sys.modules, "clearml", module)
    name = "gradscope.mirroring.clearml_mirror"
    monkeypatch.delitem(sys.modules, name, raising=False)
    return module


def test_clearml_gets_a_chart_for_each_scalar_and_two_files(clearml):
    mirrors = Mirrors("clearml")
    mirrors.log_scalars([(3, {"gradscope/loss_scale": 8.0})])
    mirrors.log_findings(9, "", {"gradscope/errors": 0.0})
    mirrors.log_report("<p>")
    assert clearml.calls == [
        ("gradscope/loss_scale", "loss_scale", 8.0, 3),
        ("gradscope/errors", "errors", 0.0, 9),
        ("gradscope", "findings.md", "nothing found"),
        ("gradscope", "report.html", "<p>"),
    ]


def test_without_a_task_of_clearml_the_remedy_is_to_begin_one(clearml):
    clearml.Task.active = False
    mirrors = Mirrors("clearml")
    with pytest.warns(GradscopeWarning, match="call `Task.init` before `fit`"):
        mirrors.log_scalars([(3, {"gradscope/loss_scale": 8.0})])
    assert not mirrors


class Values:
    """A package with `log`, and classes that hold what they are given."""

    def __init__(self, name):
        self.module = types.ModuleType(name)
        self.calls = []
        self.module.log = lambda data, step: self.calls.append((step, data))
        for kind in ("Text", "Html", "Markdown"):
            setattr(self.module, kind, lambda text, kind=kind: (kind, text))
        self.module.Artifact = lambda name, type: Artifact()
        self.module.log_artifact = lambda artifact: self.calls.append(
            (artifact.name, artifact.content)
        )


class Artifact:
    def add_file(self, path):
        self.name, self.content = os.path.split(path)[1], open(path).read()


@pytest.mark.parametrize(
    "tool, text, report",
    [
        ("trackio", "Markdown", ("report.html", "<p>")),
        ("swanlab", "Text", (9, {"gradscope/report": ("Html", "<p>")})),
    ],
)
def test_trackio_and_swanlab_get_scalars_findings_and_the_page(
    tool, text, report, monkeypatch
):
    package, name = Values(tool), f"gradscope.mirroring.{tool}_mirror"
    monkeypatch.setitem(sys.modules, tool, package.module)
    monkeypatch.delitem(sys.modules, name, raising=False)
    mirrors = Mirrors(tool)
    mirrors.log_scalars([(3, {"gradscope/loss_scale": 8.0})])
    mirrors.log_findings(9, "`a`", {"gradscope/errors": 1.0})
    mirrors.log_report("<p>")
    scalars, *findings, page = package.calls
    assert scalars == (3, {"gradscope/loss_scale": 8.0})
    assert {step for step, _ in findings} == {9}
    together = {k: v for _, data in findings for k, v in data.items()}
    assert together == {
        "gradscope/errors": 1.0,
        "gradscope/findings": (text, "`a`"),
    }
    assert page == report
    monkeypatch.delitem(sys.modules, name)


def test_a_mirror_that_fails_is_one_warning_and_the_training_is_the_same(
    trained, tmp_path
):
    _, _, weights = trained
    with pytest.warns(GradscopeWarning, match="stops mirroring to Broken"):
        others = fit(tmp_path, [Broken()])
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("mirror", ["neptune", 3, [None]])
def test_an_unknown_mirror_is_refused_by_name(mirror):
    tools = mirror if isinstance(mirror, str | list) else [mirror]
    with pytest.raises(
        ValueError,
        match="`mirror` must be of 'wandb', 'mlflow', 'clearml', 'trackio'",
    ):
        Mirrors(tools)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_that_is_not_installed_is_named(tool, monkeypatch):
    monkeypatch.setitem(sys.modules, tool, None)
    monkeypatch.delitem(
        sys.modules, f"gradscope.mirroring.{tool}_mirror", raising=False
    )
    with pytest.raises(
        ImportError, match=f"`mirror='{tool}'` needs the package"
    ):
        Mirrors(tool)


def test_no_mirror_is_none():
    assert not Mirrors(None) and Mirrors([Notes()])


class Run:
    """A run of W&B, of which only the hook is used."""

    def __init__(self):
        self.announced = []

    def _tensorboard_callback(self, logdir, save=True, root_logdir=""):
        self.announced.append((logdir, root_logdir))


def wandb(run, patched=True):
    module = types.ModuleType("wandb")
    module.run = run
    module.patched = {"tensorboard": [["module", "name"]] if patched else []}
    return module


def test_a_run_that_syncs_learns_each_directory_once(monkeypatch):
    run = Run()
    monkeypatch.setitem(sys.modules, "wandb", wandb(run))
    for _ in range(2):
        wandb_sync.announce("/logs/run/gradscope")
        wandb_sync.announce("/logs/run/d_optimizer/gradscope")
    assert run.announced == [
        ("/logs/run/gradscope", "/logs/run/gradscope"),
        ("/logs/run/d_optimizer/gradscope", "/logs/run"),
    ]


@pytest.mark.parametrize("run, patched", [(None, True), (Run(), False)])
def test_without_a_run_that_syncs_nothing_is_announced(
    monkeypatch, run, patched
):
    monkeypatch.setitem(sys.modules, "wandb", wandb(run, patched))
    wandb_sync.announce("/logs/run/gradscope")
    assert run is None or not run.announced


def test_a_run_that_cannot_be_told_is_a_warning(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", wandb(object()))
    with pytest.warns(GradscopeWarning, match="cannot tell W&B .* Use"):
        wandb_sync.announce("/logs/other/gradscope")
