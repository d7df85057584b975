"""The contract of writer and readers."""

import dataclasses
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gradscope.format import schema
from gradscope.format.schema import Data, Schema, SchemaError, Variable

KERNEL = Variable("dense/kernel", "dense", (3, 4), "float32")
BIAS = Variable("dense/bias", "dense", (4,), "float32")

names = st.text(min_size=1, max_size=20)
variables = st.builds(
    Variable,
    name=names,
    layer=names,
    shape=st.lists(st.integers(0, 99), max_size=4).map(tuple),
    dtype=st.sampled_from(["float16", "bfloat16", "float32", "float64"]),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.lists(variables, max_size=4), st.dictionaries(names, st.integers()))
def test_a_schema_survives_json(rows, optimizer):
    described = Schema(tuple(rows), optimizer)
    read = Schema.from_json(described.to_json())
    assert read == described
    assert read.id == described.id
    assert Schema.from_json(described.to_json().encode()) == described


def test_a_newer_format_is_refused():
    data = json.loads(Schema((KERNEL,)).to_json())
    data["version"] = schema.FORMAT_VERSION + 1
    with pytest.raises(SchemaError, match=r"in format 3, .* up to 2: upgrade"):
        Schema.from_json(json.dumps(data))


@given(st.text() | st.binary() | json_values.map(json.dumps))
@example('{"version": Infinity}')
@example("[" * 100_000)
@example("9" * 5000)
def test_text_that_is_no_schema_is_refused(text):
    with pytest.raises(SchemaError, match="not a gradscope schema"):
        Schema.from_json(text)


@pytest.mark.parametrize(
    "key", ["variables", "columns", "optimizer", "model", "linear", "data"]
)
@given(value=json_values)
@example(value=None)
@example(value=[{"name": "a", "layer": "a", "shape": [1e999], "dtype": "f"}])
def test_a_damaged_part_is_refused_or_harmless(key, value):
    data = {**json.loads(Schema((KERNEL,)).to_json()), key: value}
    try:
        assert isinstance(Schema.from_json(json.dumps(data)), Schema)
    except SchemaError as error:
        assert "damaged gradscope schema" in str(error)


def test_a_schema_without_variables_is_damaged():
    with pytest.raises(SchemaError, match="damaged gradscope schema"):
        Schema.from_json('{"version": 1}')


@pytest.mark.parametrize(
    "other",
    [
        Schema((BIAS, KERNEL)),
        Schema((KERNEL,)),
        Schema((KERNEL, Variable("dense/bias", "dense", (5,), "float32"))),
        Schema((KERNEL, Variable("dense/bias", "top", (4,), "float32"))),
        Schema((KERNEL, Variable("dense/b", "dense", (4,), "float32"))),
        Schema((KERNEL, BIAS), columns={"variables": ("gradient_norm",)}),
    ],
)
def test_the_id_changes_with_rows_and_columns(other):
    assert other.id != Schema((KERNEL, BIAS)).id


def test_the_id_does_not_depend_on_the_optimizer():
    assert Schema((KERNEL,), {"class": "SGD"}).id == Schema((KERNEL,)).id


def test_layers_come_in_the_order_of_their_first_variable():
    rows = [
        Variable(f"{n}/w{i}", n, (), "float32") for i, n in enumerate("baba")
    ]
    assert Schema(tuple(rows)).layers == ("b", "a")


@pytest.mark.parametrize(
    "shape, size", [((), 1), ((0,), 0), ((3, 4), 12), ((2**20, 2**20), 2**40)]
)
def test_size_is_the_number_of_elements(shape, size):
    assert Variable("v", "v", shape, "float32").size == size


def test_variables_have_a_row_each_and_the_run_has_one():
    described = Schema((KERNEL, BIAS))
    assert described.rows("variables") == (KERNEL.name, BIAS.name)
    assert described.rows("activations") == ()
    assert described.rows("run") == ("",)
    relu = schema.Activation("dense/relu", "relu", 3)
    described = Schema((KERNEL,), activations=(relu,), unseen=("while",))
    assert described.rows("activations") == ("dense/relu",)
    assert described.id != Schema((KERNEL,)).id
    assert Schema.from_json(described.to_json()) == described


def test_data_keep_their_dtype_and_shape():
    rows = (Data("input", "int64", (-1, 3)), Data("target"))
    described = Schema((KERNEL,), data=rows)
    assert described.rows("data") == ("input", "target")
    assert Schema.from_json(described.to_json()) == described
    # Sentences of another length are no other rows.
    other = Schema((KERNEL,), data=(Data("input"), Data("target")))
    assert other.id == described.id != Schema((KERNEL,)).id


def test_data_of_an_older_run_are_names():
    data = json.loads(Schema((KERNEL,)).to_json()) | {"data": ["input", "y"]}
    read = Schema.from_json(json.dumps(data))
    assert read.data == (Data("input", "float32", ()), Data("y"))
    assert read.rows("data") == ("input", "y")


def test_facts_survive_json_and_make_no_other_rows():
    relu = schema.Activation(
        "dense/relu", "relu", 3, rank=2, axis=0, is_output=True
    )
    norm = schema.State("norm_1", "batch_norm", 4, calls=2, layer="norm")
    linear = (("dense/kernel", "dense/kernel"),)
    facts = Schema(
        (KERNEL,), activations=(relu,), states=(norm,), linear=linear
    )
    read = Schema.from_json(facts.to_json())
    assert read.linear == linear
    # They are left out where rows are compared, so each is looked at.
    fields = dataclasses.asdict(read.activations[0])
    assert fields == dataclasses.asdict(relu)
    assert dataclasses.asdict(read.states[0]) == dataclasses.asdict(norm)
    plain = Schema(
        (KERNEL,),
        activations=(schema.Activation("dense/relu", "relu", 3),),
        states=(schema.State("norm_1", "batch_norm", 4),),
    )
    assert plain.id == facts.id


def test_a_schema_from_before_there_were_facts_is_read():
    relu = {"name": "dense/relu", "kind": "relu", "units": 3}
    norm = {"name": "norm", "kind": "batch_norm", "size": 4}
    data = json.loads(Schema((KERNEL,)).to_json())
    del data["model"], data["linear"]
    data |= {"activations": [relu], "states": [norm]}
    read = Schema.from_json(json.dumps(data))
    (activation,), (state,) = read.activations, read.states
    assert read.model == {} and read.linear == ()
    facts = activation.rank, activation.axis, activation.is_output
    assert facts == (0, -1, False)
    assert (state.calls, state.layer) == (1, "")


@pytest.mark.parametrize("linear", [7, ["a"], [["a", "b", "c"]], [[1]], None])
def test_damaged_pairs_are_refused(linear):
    data = {**json.loads(Schema((KERNEL,)).to_json()), "linear": linear}
    with pytest.raises(SchemaError, match="damaged gradscope schema"):
        Schema.from_json(json.dumps(data))


@pytest.mark.parametrize(
    "rows, field",
    [
        ("activations", "rank"),
        ("activations", "axis"),
        ("states", "calls"),
    ],
)
def test_damaged_facts_of_a_row_are_refused(rows, field):
    row = {"name": "a", "kind": "relu", "units": 3, field: "many"}
    data = {**json.loads(Schema((KERNEL,)).to_json()), rows: [row]}
    with pytest.raises(SchemaError, match="damaged gradscope schema"):
        Schema.from_json(json.dumps(data))


def test_a_tag_says_family_and_schema():
    described = Schema((KERNEL,))
    text = schema.tag("variables", described.id)
    assert schema.parse_tag(text) == ("variables", described.id)


@pytest.mark.parametrize(
    "text", ["", "loss", "gradscope", "gradscope/run", "other/run/1", "a/b/c/d"]
)
def test_a_tag_of_others_is_none(text):
    assert schema.parse_tag(text) is None


def test_columns_are_named_once_in_all_families():
    columns = [name for family in schema.FAMILIES.values() for name in family]
    assert len(set(columns)) == len(columns)


def test_plugin_content_holds_the_version():
    content = schema.plugin_content()
    assert json.loads(content) == {"version": schema.FORMAT_VERSION}
    assert len(content) == 14
