"""The scalars that say in a few charts whether a training is well."""

import numpy as np
import pytest
from tensorboard.util import tensor_util

from gradscope.format.schema import (
    ACTIVATION_COLUMNS,
    RUN_COLUMNS,
    VARIABLE_COLUMNS,
    Activation,
    Schema,
    Variable,
)
from gradscope.reading import event_files
from gradscope.recording import event_writer, run_scalars, tensorboard_tabs

NAN = np.nan


def described(*layers, activations=0):
    return Schema(
        tuple(
            Variable(f"{name}/kernel", name, (2, 2), "float32")
            for name in layers
        ),
        activations=tuple(
            Activation(f"a/{n}", "relu", 2) for n in range(activations)
        ),
    )


def tables(updates=(), dead=(), **run):
    """Returns a step's tables, of weights of norm 1."""
    variables = np.full([len(updates), len(VARIABLE_COLUMNS)], NAN)
    for name, values in (("update_norm", updates), ("weight_norm", 1.0)):
        variables[:, VARIABLE_COLUMNS.index(name)] = values
    activations = np.full([len(dead), len(ACTIVATION_COLUMNS)], NAN)
    activations[:, ACTIVATION_COLUMNS.index("dead_fraction")] = dead
    found = {
        "variables": variables,
        "run": np.array([[run.get(name, NAN) for name in RUN_COLUMNS]]),
    }
    return {**found, "activations": activations} if len(dead) else found


def test_a_step_has_the_numbers_that_a_dashboard_needs():
    found = run_scalars.of_step(
        described("a", "b", "c", activations=3),
        tables(
            (0.001, 0.5, 0.002),
            (0.25, NAN, 0.75),
            global_gradient_norm=5.0,
            learning_rate=0.1,
            loss_scale=1024.0,
            skipped=2.0,
        ),
    )
    assert found == {
        "gradscope/gradient_norm": 5.0,
        "gradscope/learning_rate": 0.1,
        "gradscope/loss_scale": 1024.0,
        "gradscope/skipped": 2.0,
        "gradscope/update_to_weight": 0.002,
        "gradscope/dead_fraction": 0.75,
    }


@pytest.mark.parametrize("updates", [(), (NAN, np.inf)])
def test_what_is_undefined_is_not_written(updates):
    found = run_scalars.of_step(
        described(*"ab"[: len(updates)]), tables(updates, learning_rate=0.1)
    )
    panels = tensorboard_tabs.scalar_panels(found)
    assert [panel.tag for panel in panels] == ["gradscope/learning_rate"]


def test_findings_are_counted_by_severity_and_none_is_zero():
    assert run_scalars.of_findings(["note", "error", "note"]) == {
        "gradscope/errors": 1,
        "gradscope/warnings": 0,
        "gradscope/notes": 2,
    }
    assert set(run_scalars.of_findings([]).values()) == {0}


def test_a_scalar_is_float32_and_says_that_it_is_one(tmp_path):
    file = event_writer.EventWriter(str(tmp_path))
    panels = tensorboard_tabs.scalar_panels({"gradscope/errors": 3.0})
    file.write(7, 1.0, panels)
    file.close()
    (path,) = event_files.event_files(str(tmp_path))
    _, event = event_files.events(path)
    (value,) = event.summary.value
    assert value.metadata.plugin_data.plugin_name == "scalars"
    assert value.metadata.data_class == 1
    assert tensor_util.make_ndarray(value.tensor).tolist() == 3.0
