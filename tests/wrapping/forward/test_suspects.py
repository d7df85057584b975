"""Which operation made the first number that is not finite."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import training
from training import FEW, MODES, STEPS

import gradscope
from gradscope.measuring import first_nonfinite
from gradscope.runtime import operations
from gradscope.wrapping.forward import nan_suspects

layers = keras.layers
BROKEN = 6  # the batch in which it happens, first


class LogOfNorm(layers.Layer):
    """Minus infinity for an example of zeros, and NaN right after it."""

    def call(self, inputs):
        norm = tf.reduce_sum(inputs**2, axis=1, keepdims=True)
        return inputs * tf.math.log(norm)


class Masked(layers.Layer):
    """What attention does with a mask: it is not finite, and means no harm."""

    def call(self, inputs):
        mask = tf.constant([0.0, -np.inf] * 6)
        return inputs + tf.nn.softmax(inputs + mask)


@pytest.fixture
def zeros(monkeypatch):
    x = training.X.copy()
    x[BROKEN * training.BATCH + 3] = 0
    monkeypatch.setattr(training, "X", x)


def network():
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((12,)),
            LogOfNorm(name="log_of_norm"),
            Masked(name="masked"),
            layers.Dense(8, name="hidden"),
            layers.Dropout(0.2),
            layers.BatchNormalization(),
            layers.Dense(3, name="logits"),
        ]
    )


def observed(mode, model, logdir):
    """Returns the record of a training with all of its steps."""
    optimizer = keras.optimizers.Adam(0.001)
    gradscope.wrap(optimizer, logdir, every=1, histograms=None, model=model)
    MODES[mode](model, optimizer)
    gradscope.flush()
    return gradscope.read(logdir)


@pytest.mark.parametrize("mode", FEW)
def test_it_is_told_in_every_mode(mode, zeros, tmp_path):
    record = observed(mode, network(), tmp_path)
    found = record.first_nonfinite()
    assert (found.kind, found.name) == ("layer", "log_of_norm (Log)")
    assert (found.step, found.last_clean_step) == (BROKEN, BROKEN - 1)
    assert found.is_overflow and found.exact and found.dtype == "float32"
    assert "`log_of_norm (Log)` became infinite (no NaN)" in found.message
    assert "a division by zero, or the log of zero." in found.message
    steps, values = record.occasional("operations")
    assert values.shape[1:] == (len(record.schema.operations), 1)
    # From then on the weights are NaN, and no operation is to blame.
    assert (
        steps.tolist() == [BROKEN] and values.sum() == first_nonfinite.INFINITE
    )


@pytest.mark.parametrize(
    "mode",
    ["fit_graph", "fit_jit", "loop_eager"],
)
def test_a_mask_of_infinities_is_no_cause(mode, tmp_path):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((12,)), Masked(name="masked"), layers.Dense(3)]
    )
    record = observed(mode, model, tmp_path)
    assert len(record.steps) == STEPS
    assert record.first_nonfinite() is None
    assert len(record.occasional("operations")[0]) == 0
    names = record.schema.rows("operations")
    assert "masked (AddV2)" in names and "masked (Softmax)" in names


@pytest.mark.parametrize("jit", [False])
def test_a_loop_of_a_module_with_an_embedding(jit, tmp_path):
    """It knows no layers, and its inputs are integers."""
    table = tf.Variable(np.ones([5, 2], "float32"), name="table/weight")
    scale = tf.Variable([2.0, 3.0], name="scale/weight")
    optimizer = keras.optimizers.SGD(0.0)
    optimizer.build([table, scale])
    gradscope.wrap(optimizer, tmp_path, every=1)

    @tf.function(jit_compile=jit)
    def step(rows, shift):
        with tf.GradientTape() as tape:
            found = tf.nn.embedding_lookup(table, rows) * scale
            with tf.name_scope("norm"):
                norm = tf.sqrt(tf.reduce_sum(found, axis=1) - shift)
            value = tf.reduce_mean(norm)
        grads = tape.gradient(value, [table, scale])
        optimizer.apply(grads, [table, scale])

    for shift in (1.0, 7.0):
        step(tf.constant([1, 1, 3]), tf.constant(shift))
    found = gradscope.read(tmp_path).first_nonfinite()
    assert (found.kind, found.name) == ("layer", "norm (Sqrt)")
    assert found.step == 1 and not found.is_overflow


@pytest.mark.parametrize("mode", ["fit_graph", "loop_function"])
def test_what_is_behind_a_loop_is_seen(mode, zeros, tmp_path):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Reshape((4, 3)),
            layers.LSTM(5, use_bias=False, name="lstm"),
            LogOfNorm(name="log_of_norm"),
            layers.Dense(3, name="logits"),
        ]
    )
    found = observed(mode, model, tmp_path).first_nonfinite()
    assert (found.kind, found.name) == ("layer", "log_of_norm (Log)")


def first(found, sources, rows=None):
    rows = np.arange(len(found)) if rows is None else rows
    arguments = np.float32(found), np.array(sources), np.float32(rows)
    run = tf.function(first_nonfinite.find_first, jit_compile=True)
    return [
        f(*arguments).numpy().tolist()
        for f in (first_nonfinite.find_first, run)
    ]


def test_the_first_that_was_made_of_finite_numbers_is_the_one():
    # 4 is finite for sure, 5 is not: the first is made of a mask.
    sources = [[5, 4], [4, 4], [1, 4], [2, 0]]
    assert first([1, 0, 2, 2], sources) == [[2, 2]] * 2
    assert first([1, 2, 2, 2], sources) == [[1, 2]] * 2
    assert first([0, 0, 0, 1], sources) == [[3, 1]] * 2


def test_without_one_there_is_none():
    for found in ([0, 0], [1, 0], [1, 2]):
        told = first(found, [[3], [0]])
        np.testing.assert_array_equal(told, np.full([2, 2], np.nan))


def test_what_has_no_row_is_not_told():
    told = first([0, 1], [[2], [2]], [0, np.nan])
    assert np.isnan(np.array(told)[:, 0]).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_what_an_output_is(dtype):
    tensors = [[1, -2], [np.inf, 1], [-np.inf, np.nan], [], 3.0]
    tensors = [tf.constant(t, dtype) for t in tensors]
    expected = [0, 1, 2, 0, 0]
    assert first_nonfinite.classify(tensors).numpy().tolist() == expected


def part_of(function, *arguments):
    """Returns the operations of a function, and what it returns."""
    graph = tf.function(function).get_concrete_function(*arguments).graph
    return operations.step_subgraphs(graph, [], 0)[-1], graph.outputs


def test_of_too_many_the_risky_ones_and_the_last_of_each_scope_are_kept():
    def deep(x):
        for number in range(200):
            with tf.name_scope(f"block_{number:03}"):
                x = x + 1.0
                x = x * 2.0
                x = tf.nn.relu(x)
        return tf.math.log(x)

    part, ends = part_of(deep, tf.TensorSpec([3]))
    found = nan_suspects.find(part, ends, {}, set())
    names = [row.name for row in found.operations]
    assert names[:2] == ["block_000 (Mul)", "block_001 (Mul)"]
    assert len(names) == 201 and names[-1] == "model (Log)"
    # The first is what was given, which nothing of the step has made.
    assert found.rows[0] is None and found.sources[0] == 202 + 1
    assert found.sources.tolist()[1:] == [[n] for n in range(201)]


def test_never_more_are_looked_at():
    def deep(x):
        for number in range(1000):
            with tf.name_scope(f"block_{number}"):
                x = x + 1.0
        return x

    part, ends = part_of(deep, tf.TensorSpec([3]))
    found = nan_suspects.find(part, ends, {}, set())
    assert 0 < len(found.operations) <= nan_suspects.MOST


def test_random_numbers_and_what_leads_nowhere_are_not_looked_at():
    def step(x):
        noise = tf.random.stateless_uniform([3], [1, 2]) * 2.0 + 1.0
        tf.math.log(x, name="aside")
        return tf.exp(x) * noise

    part, ends = part_of(step, tf.TensorSpec([3]))
    found = nan_suspects.find(part, ends, {}, set())
    assert [row.name for row in found.operations] == [
        "model (Exp)",
        "model (Mul)",
    ]
    assert nan_suspects.find(part, [], {}, set()) is None


def test_what_depends_on_a_function_of_its_own_is_not_computed_again():
    @tf.function
    def inner(x):
        tf.print(x)
        return x + 1.0

    def step(x):
        return tf.sqrt(inner(tf.exp(x)))

    part, ends = part_of(step, tf.TensorSpec([3]))
    found = nan_suspects.find(part, ends, {}, set())
    assert [row.name for row in found.operations] == ["model (Exp)"]


@tf.function
def doubled(x):
    return x * 2.0


def in_function(x):
    return doubled(x)


def in_conditional(x):
    return tf.cond(tf.reduce_sum(x) > 0.0, lambda: x * 2.0, lambda: x - 1.0)


def in_loop(x):
    return tf.while_loop(
        lambda n, _: n < 3, lambda n, y: (n + 1, y * 2.0), [0, x]
    )[1]


def in_map(x):
    return tf.map_fn(lambda row: row * 2.0, x)


@pytest.mark.parametrize("jit", [False])
@pytest.mark.parametrize(
    "inside", [in_function, in_conditional, in_loop, in_map]
)
def test_functions_and_loops_on_the_way_are_computed_again(
    inside, jit, zeros, tmp_path
):
    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Lambda(inside, output_shape=(12,), name="inside"),
            LogOfNorm(name="log_of_norm"),
            layers.Dense(3, name="logits"),
        ]
    )
    mode = "loop_jit" if jit else "loop_function"
    found = observed(mode, model, tmp_path).first_nonfinite()
    assert (found.kind, found.name) == ("layer", "log_of_norm (Log)")
