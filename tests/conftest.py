"""Settings of all tests, and the marks that follow from their names."""

import gc
import os
import pathlib
import sys

# Before anything imports TensorFlow: only its fatal errors are shown.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# For this process and for those that tests start: see lean_keras.py there.
sys.path.insert(0, str(pathlib.Path(__file__).parent / "support" / "startup"))
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [sys.path[0], os.environ.get("PYTHONPATH")])
)

import hypothesis
import lean_keras  # noqa: F401
import pytest
from thinning import asks_for_xla

# The first example of a test traces and compiles; the others do not.
hypothesis.settings.register_profile(
    "gradscope", deadline=None, max_examples=40, derandomize=True
)
hypothesis.settings.load_profile("gradscope")


# Tracing makes hundreds of thousands of objects, and few are garbage: looking
# for it after each 700, as Python does, takes a twentieth of the time.
gc.set_threshold(50_000)


def pytest_collection_finish():
    """What was imported is not looked at in search of garbage."""
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def garbage():
    """Graphs are cycles, and large: a worker had 9 GB at its end.

    What stays is not looked at again: a million objects of libraries.
    """
    yield
    gc.collect()
    gc.freeze()


#: Files with many trainings, or processes, that no other mark is about.
LONG = {
    f"test_{name}.py"
    for name in (
        "backends bits bits_random check combinations compare_functions "
        "compare_observing compat_v1 compat_v1_programs compat_v1_steps "
        "determinism due_steps elsewhere encounters endings faults fit_data "
        "guard linear many_fits no_step_lost nonfinite_training outputs "
        "outputs_inside own_programs parts probe probe_leaves_no_trace resume "
        "run_directory saving session_bits several states step_trial suspects "
        "tape_loss_bits tf_keras tf_keras_forward tf_keras_objects "
        "tf_keras_scaled tf_keras_steps tf_keras_twin threads twin "
        "unknown_shapes unknown_sizes wrapping"
    ).split()
}


#: Where XLA's cases are of bits, values or of XLA itself. In all other files
#: they are slow: 20 MB and some 5 s each.
OF_XLA = {
    f"test_{name}.py"
    for name in (
        "combinations cost guard modes step_trial tf_keras tf_keras_steps "
        "values"
    ).split()
}


def compiles(item):
    """Says whether a test's name or one of its parameters asks for XLA."""
    parameters = getattr(item, "callspec", None)
    values = parameters.params.items() if parameters else ()
    return "xla" in item.name or any(
        asks_for_xla(value) or (name in ("jit", "compiled") and value is True)
        for name, value in values
    )


def pytest_collection_modifyitems(items):
    for item in items:
        path = pathlib.Path(item.fspath)
        if compiles(item):
            item.add_marker("xla")
            if path.name not in OF_XLA:
                item.add_marker("slow")
        if path.parent.name == "browser":
            item.add_marker("browser")
        if path.name in LONG:
            item.add_marker("long")
        if path.name == "test_examples.py":
            item.add_marker("examples")
        if "replica" in path.name:
            item.add_marker("replicas")
