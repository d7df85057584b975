"""A kind of optimizer that gradscope does not know, added in a few lines.

`ToyCall`, `ToySeam` and `ToyKind` are a template for others; the docstring of
`OptimizerKind` has the steps.
"""

import inspect

import numpy as np
import pytest
import tensorflow as tf

import gradscope
from gradscope.wrapping.call import Call
from gradscope.wrapping.optimizers import kinds
from gradscope.wrapping.optimizers.kind import OptimizerKind
from gradscope.wrapping.optimizers.seam import Seam

RATE = 0.5
GRADIENTS = ([3.0, 4.0], [0.0, 2.0], [-6.0, 8.0])
MOST_LINES = 60


class Toy:
    """A user's optimizer: momentum, and a step that it counts itself."""

    def __init__(self, variables, rate=RATE):
        self.variables = variables
        self.rate = rate
        self.count = tf.Variable(0, dtype=tf.int64)
        self.momenta = [tf.Variable(tf.zeros_like(v)) for v in variables]

    def step(self, grads):
        for variable, momentum, gradient in zip(
            self.variables, self.momenta, grads, strict=True
        ):
            momentum.assign(0.5 * momentum + gradient)
            variable.assign_sub(self.rate * momentum)
        self.count.assign_add(1)


class ToyCall(Call):
    """One call of `Toy.step`."""

    def __init__(self, optimizer, grads):
        variables = optimizer.variables
        super().__init__(
            grads, variables, variables, tf.identity(optimizer.count)
        )
        self._optimizer = optimizer

    def learning_rate(self):
        return tf.constant(self._optimizer.rate)


class ToySeam(Seam):
    """Replacement of the `step` of one `Toy`."""

    method = "step"

    def call(self, grads):
        return ToyCall(self.optimizer, grads)

    def current_step(self):
        return int(self.optimizer.count) if tf.executing_eagerly() else None


class ToyKind:
    """The kind of `Toy`; a module with these names would do, too."""

    NAME = "the tests"
    SEAM = ToySeam

    def is_supported(self, optimizer):
        return isinstance(optimizer, Toy)

    def innermost(self, optimizer):
        return optimizer

    def strategy(self, optimizer):
        return tf.distribute.get_strategy()

    def unsupported(self, optimizer):
        return None


@pytest.fixture
def toy_kind(monkeypatch):
    monkeypatch.setattr(kinds, "KINDS", [*kinds.KINDS, ToyKind()])


def train(wrapper, logdir=None):
    """Makes three steps; returns the optimizer, observed if there is a
    directory, and its weights before each step and at the end."""
    weight = tf.Variable([1.0, -1.0], name="layer/weight")
    optimizer = Toy([weight])
    if logdir is not None:
        gradscope.wrap(optimizer, logdir, every=1)
    step = wrapper(lambda gradient: optimizer.step([gradient]))
    weights = [weight.numpy()]
    for gradient in GRADIENTS:
        step(tf.constant(gradient))
        weights.append(weight.numpy())
    return optimizer, weights


def norms(arrays):
    return [[np.linalg.norm(array)] for array in arrays]


@pytest.mark.parametrize(
    "wrapper", [lambda f: f, tf.function], ids=["eager", "function"]
)
@pytest.mark.usefixtures("toy_kind")
def test_a_toy_kind_is_recorded_and_trains_the_same(wrapper, tmp_path):
    _, plain = train(wrapper)
    optimizer, observed = train(wrapper, tmp_path)
    np.testing.assert_array_equal(observed, plain)

    gradscope.flush(optimizer)
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0, 1, 2]
    assert list(record.variables) == ["layer/weight"]
    np.testing.assert_allclose(record["gradient_norm"], [[5], [2], [10]])
    # By hand: momenta (3, 4), (1.5, 4), (-5.25, 10), and half of them applied.
    weights = [[1, -1], [-0.5, -3], [-1.25, -5]]
    updates = [[1.5, 2], [0.75, 2], [-2.625, 5]]
    np.testing.assert_allclose(observed[:3], weights)
    np.testing.assert_allclose(record["weight_norm"], norms(weights), rtol=1e-6)
    np.testing.assert_allclose(record["update_norm"], norms(updates), rtol=1e-6)
    np.testing.assert_array_equal(record["learning_rate"], [RATE] * 3)


@pytest.mark.usefixtures("toy_kind")
def test_unwrap_gives_a_toy_back(tmp_path):
    optimizer = Toy([tf.Variable([1.0])])
    before = dict(vars(optimizer))
    assert gradscope.wrap(optimizer, tmp_path) is optimizer
    assert vars(optimizer).keys() > before.keys()
    with pytest.raises(ValueError, match="is already observed"):
        gradscope.wrap(optimizer, tmp_path)
    assert gradscope.unwrap(optimizer) is optimizer
    assert vars(optimizer) == before
    assert optimizer.step.__func__ is Toy.step
    with pytest.raises(ValueError, match="is not observed, got"):
        gradscope.unwrap(optimizer)


def test_a_kind_is_added_in_a_few_lines():
    adapter = map(inspect.getsource, (ToyCall, ToySeam, ToyKind))
    lines = [line for part in adapter for line in part.splitlines() if line]
    assert len(lines) < MOST_LINES


@pytest.mark.parametrize("kind", [*kinds.KINDS, ToyKind()])
def test_each_kind_meets_the_protocol(kind):
    assert isinstance(kind, OptimizerKind)
    assert not isinstance(kind.SEAM, OptimizerKind)
    assert issubclass(kind.SEAM, Seam) and kind.SEAM.method


def test_what_is_of_no_kind_is_refused_with_all_kinds_by_name(tmp_path):
    with pytest.raises(TypeError) as error:
        gradscope.wrap(Toy([]), tmp_path)
    assert str(error.value).startswith(
        "`optimizer` must be an optimizer of Keras 3 with the TensorFlow "
        "backend, tf_keras, tf_keras.optimizers.legacy or tf.compat.v1.train, "
        "got <"
    )
