"""Records that were written with other versions of TensorFlow and Keras."""

import pathlib
import shutil

import numpy as np
import pytest
from plugin_client import BASE, PROVIDERS, client_of, get_matrix, loaded

import gradscope

DATA = pathlib.Path(__file__).parents[1] / "data" / "written_by"
WRITERS = sorted(path.name for path in DATA.iterdir())
ROOT_8 = np.sqrt(8)


def test_there_is_a_record_of_the_oldest_and_of_a_newer_tensorflow():
    assert WRITERS == ["tensorflow_2_16", "tensorflow_2_21"]


@pytest.mark.parametrize("writer", WRITERS)
def test_it_is_read(writer):
    """The numbers are those of `tests/data/train.py`, by hand."""
    record = gradscope.read(DATA / writer)
    assert record.damage == ()
    assert record.layers == ("first", "norm", "last")
    assert record.steps.tolist() == [0, 1, 2, 3]
    # The bias is 0, 1, -1, and so are both values of beta; the kernel of `last`
    # is 1, 1, -1: the output is 0, 3, 1, where 1 is wanted.
    np.testing.assert_array_equal(record["loss"][:3], [1, 4, 0])
    norms = {
        "first/kernel": [0, 0, 0],
        "norm/beta": [ROOT_8, 2 * ROOT_8, 0],
        "last/kernel": [0, 2 * ROOT_8, 0],
        "last/bias": [2, 4, 0],
    }
    for name, expected in norms.items():
        row = record.variables.index(name)
        for statistic, rate in (("gradient_norm", 1), ("update_norm", 0.5)):
            np.testing.assert_allclose(
                record[statistic][:3, row], rate * np.array(expected), rtol=1e-6
            )
    np.testing.assert_array_equal(record["zero_fraction"], np.ones([4, 1]))
    assert record.first_nonfinite().name == "input"


@pytest.mark.parametrize("writer", WRITERS)
def test_it_is_diagnosed(writer):
    (finding,) = gradscope.diagnose(DATA / writer)
    assert (finding.kind, finding.severity) == ("non-finite", "error")
    assert finding.evidence == {"step": 3, "first": "input"}


def test_two_versions_record_the_same():
    assert gradscope.compare(*(DATA / writer for writer in WRITERS)).same_bits


@pytest.mark.parametrize("provider", PROVIDERS)
def test_it_is_shown(provider, tmp_path):
    shutil.copytree(DATA, tmp_path / "logs")
    client = client_of(loaded(tmp_path / "logs", provider))
    for writer in WRITERS:
        run = f"{writer}/gradscope"
        record = gradscope.read(DATA / writer)
        steps, values = get_matrix(client, run)
        np.testing.assert_array_equal(steps, record.steps)
        np.testing.assert_array_equal(values, record["gradient_norm"].T)
        reply = client.get(f"{BASE}/findings", query_string={"run": run})
        assert [f["kind"] for f in reply.get_json()["findings"]] == [
            "non-finite"
        ]
