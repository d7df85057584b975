"""Records of every format that was ever written, with the numbers known."""

import json
import pathlib
import shutil
import sys

import numpy as np
import pytest
from plugin_client import BASE, PROVIDERS, client_of, get_matrix, loaded

import gradscope
from gradscope.format import columns, schema
from gradscope.format.epoch_logs import Log

DATA = pathlib.Path(__file__).parents[1] / "data"
sys.path.insert(0, str(DATA))

from write import STEPS, WALL_TIME, numbers  # noqa: E402  (beside the logs)

FORMATS = [DATA / "v1", DATA / "v2"]
V2 = FORMATS[-1]

#: As both formats have them: what a later gradscope adds comes behind.
FAMILIES = tuple(columns.FAMILIES | columns.OCCASIONAL)

of_each_format = pytest.mark.parametrize(
    "logs", FORMATS, ids=lambda path: path.name
)


def expected_numbers(record, family, step):
    """Returns the numbers of a family; format 2 leaves out what follows."""
    described = record.schema
    names = described.columns[family]
    rows = described.rows(family)
    found = numbers(FAMILIES.index(family), step, len(rows), len(names))
    if family not in described.stored:
        return found
    of = {name: found[:, place] for place, name in enumerate(names)}
    sizes = [v.size for v in described.variables]
    if family == "variables":
        with np.errstate(all="ignore"):
            of["gradient_rms"] = of["gradient_norm"] / np.sqrt(
                of["gradient_size"]
            )
            of["weight_rms"] = of["weight_norm"] / np.sqrt(sizes)
            for over in ("gradient", "update"):
                of[f"{over}_to_weight_ratio"] = (
                    of[f"{over}_norm"] / of["weight_norm"]
                )
    return np.stack([of[name] for name in names], axis=1)


def test_the_format_of_today_has_golden_logs():
    # Who raises the number writes logs of it, and keeps those of before.
    assert schema.FORMAT_VERSION == 2
    assert sorted(DATA.glob("v*")) == FORMATS
    assert sum(p.stat().st_size for p in DATA.rglob("*tfevents*")) < 60_000


@of_each_format
def test_a_whole_record_is_read_to_the_last_bit(logs):
    record = gradscope.read(logs / "whole")
    assert record.damage == ()
    assert record.steps.tolist() == list(STEPS)
    assert record.wall_times.tolist() == [WALL_TIME + s for s in STEPS]
    for family in FAMILIES:
        steps, found = record.steps, record.families.get(family)
        if family in columns.OCCASIONAL:
            steps, found = record.occasional(family)
            assert steps.tolist() == [1, 10]
        expected = [
            expected_numbers(record, family, step) for step in steps.tolist()
        ]
        # Derived in float64, and rounded once.
        np.testing.assert_allclose(found, expected, 1e-6, 0, err_msg=family)
    assert record.logs == tuple(
        Log(step, index, {"loss": 1 / (1 + step)})
        for index, step in enumerate(STEPS)
    )


@of_each_format
def test_the_schema_is_known(logs):
    described = gradscope.read(logs / "whole").schema
    assert described.layers == ("dense_1", "dense_2")
    kernel, bias, *_ = described.variables
    assert kernel == schema.Variable(
        "dense_1/kernel", "dense_1", (3, 3), "float32"
    )
    assert (bias.name, bias.shape) == ("dense_1/bias", (3,))
    assert [a.group_names for a in described.activations] == [
        tuple(f"dense_{layer}/relu/{unit}" for unit in range(3))
        for layer in (1, 2)
    ]
    assert [(s.name, s.kind) for s in described.states] == [
        ("norm", "batch_norm"),
        ("dropout", "dropout"),
    ]
    assert described.data[0] == schema.Data("input", "float32", (3,))
    assert described.operations[0].name == "dense_1 (MatMul)"
    assert described.unseen == ("while",)
    assert described.model["metrics"] == ["accuracy"]
    assert described.optimizer["config"] == {"learning_rate": 0.1}
    assert described.linear == (("dense_1/kernel", "dense_2/kernel"),)
    assert described.wiring[0].kind == "broadcast"
    for family, names in (columns.FAMILIES | columns.OCCASIONAL).items():
        # Columns may be added at the end; none may move, or go.
        known = described.columns[family]
        assert names[: len(known)] == known


@of_each_format
def test_a_run_that_was_resumed_with_another_network_is_one_record(logs):
    record = gradscope.read(logs / "resumed")
    assert record.steps.tolist() == [0, 1, 2, 3]
    assert record.layers == ("dense_1", "dense_2")
    found = record["gradient_norm"]
    width = len(record.schema.columns["variables"])
    # Steps 0 and 1 are of the network of one layer, 2 and 3 of the next.
    for step in (0, 1):
        np.testing.assert_array_equal(
            found[step, :2], numbers(0, step, 2, width)[:, 0]
        )
        assert np.isnan(found[step, 2:]).all()
    for step in (2, 3):
        np.testing.assert_array_equal(
            found[step], numbers(0, step, 4, width)[:, 0]
        )
    assert record.wall_times.tolist()[1:3] == [WALL_TIME + 1, WALL_TIME + 102]


@of_each_format
def test_findings_of_a_golden_log_can_be_told(logs):
    assert isinstance(gradscope.diagnose(logs / "whole"), list)
    found = gradscope.read(logs / "whole").first_nonfinite()
    assert found is not None and found.step == 0
    assert gradscope.compare(logs / "whole", logs / "whole").same_bits


@of_each_format
@pytest.mark.parametrize("provider", PROVIDERS)
def test_tensorboard_has_the_same_numbers(tmp_path, provider, logs):
    shutil.copytree(logs, tmp_path / "logs")
    client = client_of(loaded(tmp_path / "logs", provider))
    names = [run["name"] for run in client.get(f"{BASE}/runs").get_json()]
    assert names == ["resumed/gradscope", "whole/gradscope"]
    for name in ("resumed", "whole"):
        record = gradscope.read(logs / name)
        for statistic in ("gradient_norm", "update_norm"):
            steps, values = get_matrix(client, f"{name}/gradscope", statistic)
            np.testing.assert_array_equal(steps, record.steps)
            np.testing.assert_array_equal(values, record[statistic].T)


def described(**changes):
    """Returns the schema of a golden log as a later version might have it."""
    text = gradscope.read(V2 / "whole").schema.to_json()
    return json.dumps({**json.loads(text), **changes})


def test_a_newer_format_is_refused_and_what_was_added_to_this_one_is_read():
    with pytest.raises(schema.SchemaError, match="upgrade gradscope"):
        schema.Schema.from_json(described(version=3))
    known = gradscope.read(V2 / "whole").schema
    more = {
        "invented": [{"a": 1}],
        "columns": {**known.columns, "invented": ["a"]},
    }
    read = schema.Schema.from_json(described(**more))
    assert read.variables == known.variables
    assert read.columns["invented"] == ("a",)


@pytest.mark.parametrize("version", [0, -1])
def test_a_format_that_never_was_is_refused(version):
    with pytest.raises(schema.SchemaError, match=r"format .* does not exist"):
        schema.Schema.from_json(described(version=version))
