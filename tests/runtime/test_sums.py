"""Sums that TensorFlow adds up in any order, once it takes the peak of memory
to be above 80 % of 256 MiB: gradscope's readings decide nothing there."""

import dataclasses
import warnings

import keras
import numpy as np
import pytest
import synthetic
import tensorflow as tf
from tensorflow.python.eager import context
from thinning import thinned

import gradscope
from gradscope.errors import GradscopeWarning
from gradscope.format.schema import Schema
from gradscope.reading import event_files
from gradscope.runtime import rewritten_sums

MIB = 2**20

#: Megabytes that are alive while the terms of the sum are: what TensorFlow
#: rewrites of the plain program, and of one that gradscope reads in (which
#: does not read the terms: that had 130 megabytes be enough).
PEAKS = {"below": (20, 0, 0), "at": (150, 0, 0), "above": (200, 1, 1)}


def rewritten(call):
    """Returns how many sums are rewritten in what is called first."""
    context.context().enable_graph_collection()
    call()
    collected = context.context().export_run_metadata()
    context.context().disable_graph_collection()
    return len(rewritten_sums._rewritten(collected))


def step(optimizer, w, ballast, layer=None):
    """Trains a variable whose gradient is a sum of five terms, while there is
    something large; and a layer beside it."""
    variables = [w, *(layer.trainable_variables if layer else [])]
    with tf.GradientTape() as tape:
        read = tf.identity(w)
        waves = [tf.sin(read * float(k)) for k in range(1, 6)]
        loss = sum(tf.reduce_sum(wave) for wave in waves)
        if layer:
            loss += tf.reduce_sum(layer(tf.ones([2, 4])))
    gradients = tape.gradient(loss, variables)
    with tf.control_dependencies([gradients[0]]):
        total = tf.reduce_sum(ballast)
    optimizer.apply(gradients, variables)
    return total, loss


class Loop:
    """A loop of two steps on a weight of 4 MB."""

    def __init__(self, megabytes, logdir=None, nested=False):
        start = np.random.default_rng(0).normal(size=MIB)
        self.w = tf.Variable(start.astype("float32"))
        self.ballast = tf.zeros([megabytes * MIB // 4])
        self.optimizer = keras.optimizers.SGD(0.01)
        self.optimizer.build([self.w])
        self.logdir = logdir
        if logdir:
            gradscope.wrap(self.optimizer, logdir, every=1, histograms=1)
        self.step = tf.function(lambda x: step(self.optimizer, self.w, x))
        if nested:
            inner = self.step
            inner.get_concrete_function(self.ballast)
            self.step = tf.function(lambda x: inner(x)[0] + 1.0)

    def train(self):
        """Returns the number of sums that are rewritten, and the weights."""

        def steps():
            for _ in range(2):
                self.step(self.ballast)

        count = rewritten(steps)
        self.ballast = None  # which cycles of references would keep
        if self.logdir:
            gradscope.unwrap(self.optimizer)
            assert gradscope.read(self.logdir).steps.tolist() == [0, 1]
        return count, self.w.numpy().tobytes()


class Model(keras.Model):
    """The same for `fit`, with an activation."""

    def __init__(self):
        super().__init__()
        self.w = self.add_weight(shape=[MIB], initializer="normal")
        self.small = keras.layers.Dense(3, "relu", name="small")
        self.small.build((None, 4))

    def train_step(self, data):
        total, loss = step(self.optimizer, self.w, data, self.small)
        return {"loss": loss, "total": total}


#: Every second step with all that there is to record.
OPTIONS = {
    "every": gradscope.schedule.Every(2, dense=0),
    "histograms": gradscope.schedule.Every(2, dense=0),
}


def fit(megabytes, logdir=None, how="callback", jit_compile=False, **options):
    """Makes three steps; returns the weights."""
    keras.utils.set_random_seed(0)
    model, callbacks = Model(), []
    options = OPTIONS | options
    model.compile(keras.optimizers.SGD(0.01), jit_compile=jit_compile)
    if logdir and how == "callback":
        callbacks = [gradscope.Callback(logdir, findings=False, **options)]
    elif logdir:
        watched = {"model": model} if how == "wrap with model" else {}
        gradscope.wrap(model.optimizer, logdir, **watched, **options)
    ballast = tf.zeros([megabytes * MIB // 4])
    data = tf.data.Dataset.from_tensors(ballast).repeat(3)
    model.fit(data, shuffle=False, verbose=0, callbacks=callbacks)
    if logdir and how != "callback":
        gradscope.unwrap(model.optimizer)
    return b"".join(w.numpy().tobytes() for w in model.weights)


def assert_recorded(logdir):
    """The first and third step have all that `OPTIONS` ask for."""
    record = gradscope.read(logdir)
    assert record.steps.tolist() == [0, 2]
    assert np.isfinite(record["gradient_norm"]).all()
    assert record.activations == ("small/relu",)
    assert np.isfinite(record["zero_fraction"]).all()
    assert record.schema.unordered_sums == ()
    (path,) = event_files.event_files(str(logdir / "gradscope"))
    histograms = [
        event.step
        for event in event_files.events(path)
        for value in event.summary.value
        if value.tag.startswith("gradients/")
    ]
    assert histograms == [0] * 3 + [2] * 3


@pytest.fixture
def as_before(monkeypatch):
    """Restores the options of the process."""
    own = context.context()
    monkeypatch.setattr(own, "_config", own._config)
    yield
    own.function_call_options = None


@pytest.mark.parametrize("peak", thinned(list(PEAKS), fast=["at"]))
def test_what_is_read_alone_has_no_sum_of_this_loop_rewritten(
    peak, tmp_path, monkeypatch
):
    megabytes, plain, read = PEAKS[peak]
    assert Loop(megabytes).train()[0] == plain
    monkeypatch.setattr(rewritten_sums, "keep_order", lambda graphs: None)
    assert Loop(megabytes, tmp_path).train()[0] == read


@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
@pytest.mark.parametrize("peak", ["below", "at"])
def test_a_loop_without_rewritten_sums_keeps_its_bits(peak, nested, tmp_path):
    megabytes = PEAKS[peak][0]
    plain = Loop(megabytes, nested=nested).train()
    assert plain[0] == 0
    assert Loop(megabytes, tmp_path, nested).train() == plain


HOWS = ("callback", "wrap", "wrap with model")


@pytest.mark.parametrize(
    "peak, how",
    thinned(
        [(peak, how) for peak in PEAKS for how in HOWS],
        fast=[("at", "callback"), ("at", "wrap with model"), ("above", "wrap")],
    ),
)
def test_a_fit_keeps_its_bits_at_each_peak(peak, how, tmp_path, as_before):
    megabytes, has_rewritten_sum, _ = PEAKS[peak]
    if has_rewritten_sum:  # else even plain trainings may differ
        gradscope.sums_in_order()
    plain = fit(megabytes)
    assert fit(megabytes, tmp_path, how) == plain
    assert_recorded(tmp_path)


@pytest.mark.parametrize("how", thinned(list(HOWS), fast=["callback"]))
def test_under_xla_a_fit_keeps_its_bits_above_the_peak(how, tmp_path):
    megabytes = PEAKS["above"][0]
    plain = fit(megabytes, jit_compile=True)
    assert fit(megabytes, jit_compile=True) == plain
    assert fit(megabytes, tmp_path, how, jit_compile=True) == plain
    assert_recorded(tmp_path)


def test_a_fit_that_records_has_no_rewritten_sum(tmp_path):
    megabytes = PEAKS["above"][0]
    assert rewritten(lambda: fit(megabytes)) == 1
    # The plain program is traced, and never called.
    assert rewritten(lambda: fit(megabytes, tmp_path, every=1)) == 0


def test_a_program_that_records_has_no_rewritten_sum(tmp_path):
    assert Loop(PEAKS["above"][0], tmp_path).train()[0] == 0


def test_a_plain_program_with_rewritten_sums_is_told_of_once(tmp_path):
    runs = [tmp_path / name for name in "ab"]
    for run in runs:
        fit(PEAKS["above"][0], run)
    record = gradscope.read(runs[0])
    (name,) = record.schema.unordered_sums
    assert "Add" in name
    (found,) = [
        f for f in gradscope.diagnose(record) if f.kind == "unordered-sums"
    ]
    assert found.severity == "note"
    assert found.evidence == {"count": 1, "sums": [name]}
    assert "adds up a sum of this training in no fixed order" in found.message
    assert "`gradscope.sums_in_order()` at the start" in found.remedy
    assert "smaller batches" in found.remedy
    assert "a batch size left open" in found.remedy


def test_sums_in_order_has_a_training_repeat_its_bits(tmp_path, as_before):
    gradscope.sums_in_order()
    megabytes = PEAKS["above"][0]
    count, plain = Loop(megabytes).train()
    assert count == 0
    assert Loop(megabytes, tmp_path / "loop").train() == (0, plain)
    plain = fit(megabytes)
    assert fit(megabytes, tmp_path / "fit") == plain
    assert gradscope.read(tmp_path / "fit").schema.unordered_sums == ()


def test_nobody_is_asked_while_the_user_traces(tmp_path):
    tf.summary.trace_on(graph=True)
    try:
        fit(PEAKS["above"][0], tmp_path)
    finally:
        tf.summary.trace_off()
    assert gradscope.read(tmp_path).schema.unordered_sums == ()


def test_a_small_program_is_not_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(rewritten_sums, "_Watching", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error", GradscopeWarning)
        fit(PEAKS["below"][0], tmp_path)


def test_a_failure_is_one_warning_and_no_end(tmp_path, monkeypatch):
    monkeypatch.setattr(rewritten_sums, "_graphs", lambda function: 1 / 0)
    with pytest.warns(
        GradscopeWarning,
        match="cannot fix the order in which .* sums.*Please report this, with "
        r"the versions: TensorFlow \d",
    ):
        Loop(PEAKS["below"][0], tmp_path).train()
    assert gradscope.read(tmp_path).steps.tolist() == [0, 1]


def changed(level, jit=0, executor="own"):
    config = tf.compat.v1.ConfigProto(inter_op_parallelism_threads=3)
    config.graph_options.rewrite_options.memory_optimization = level
    config.graph_options.optimizer_options.global_jit_level = jit
    own = context.FunctionCallOptions(executor, config)
    options = rewritten_sums._without_rewriting(own)
    assert options.executor_type == executor
    serialized = options.config_proto_serialized
    config = tf.compat.v1.ConfigProto.FromString(serialized)
    assert config.inter_op_parallelism_threads == 3
    return config.graph_options.rewrite_options.memory_optimization


def test_only_the_rewriting_of_sums_is_left_out_of_the_users_options():
    level = rewritten_sums._Rewrites
    assert changed(level.DEFAULT_MEM_OPT) == level.SWAPPING_HEURISTICS
    assert changed(level.SCHEDULING_HEURISTICS) == level.SWAPPING_HEURISTICS
    assert changed(level.NO_MEM_OPT) == level.NO_MEM_OPT
    assert changed(level.MANUAL) == level.MANUAL
    # Where XLA makes clusters, the default is none.
    assert changed(level.DEFAULT_MEM_OPT, jit=1) == level.DEFAULT_MEM_OPT


def test_a_schema_knows_a_hundred_sums():
    schema = Schema(()).with_unordered_sums(("a",))
    many = tuple(map(str, range(200)))
    schema = schema.with_unordered_sums((*many, "a"))
    assert schema.unordered_sums == ("a", *many[:99])
    assert Schema.from_json(schema.to_json()) == schema
    assert schema.id == Schema(()).id


def test_runs_that_part_by_rounding_are_told_why():
    schema = dataclasses.replace(synthetic.network(), unordered_sums=("AddN",))
    norms = np.full([100, 1], 0.1)
    norms[60:] *= 1 + 1e-6
    one = synthetic.record(schema)
    other = synthetic.record(schema, gradient_norm=norms)
    reason = "adds up a sum of the first and the second run in no fixed order"
    assert reason in gradscope.compare(one, other).notes[-1]
    assert reason in " ".join(str(gradscope.compare(one, other)).split())
    assert "in no fixed order" not in str(gradscope.compare(one, one))
    norms[60:] = 0.3  # which is no rounding
    other = synthetic.record(schema, gradient_norm=norms)
    assert "in no fixed order" not in str(gradscope.compare(one, other))
    plain = synthetic.record(synthetic.network())
    norms[60:] = 0.1 * (1 + 1e-6)
    other = synthetic.record(synthetic.network(), gradient_norm=norms)
    assert "in any order" not in str(gradscope.compare(plain, other))
