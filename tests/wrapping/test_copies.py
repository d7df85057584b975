"""A copy is what it would be without gradscope, and not observed itself."""

import copy
import inspect
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from tf_keras_training import current, legacy
from training import X, Y, fit

import gradscope
from gradscope.errors import GradscopeWarning
from gradscope.runtime.method_replacement import MethodReplacement
from gradscope.schedule import At, Every, Seconds
from gradscope.wrapping import seam_of


def pickled(value):
    return pickle.loads(pickle.dumps(value))


WAYS = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": pickled}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


class Owner:
    def __init__(self, number=1):
        self.number = number

    def add(self, other, *, twice=False):
        """Adds."""
        return self.number + other * (2 if twice else 1)


class OwnCopy(Owner):
    def __deepcopy__(self, memo):
        copied = type(self)()
        vars(copied).update(copy.deepcopy(vars(self), memo))
        return copied


def theirs(other):
    return -other


# Of what is stood in for


@each_way
@pytest.mark.parametrize("kind", [Owner, OwnCopy])
def test_a_copy_has_the_attributes_that_it_would_have(way, kind):
    owner = kind()
    plain = vars(way(owner))
    replacement = MethodReplacement(owner, "add", lambda x: 0)
    replacement.install()
    copied = way(owner)
    assert vars(copied) == plain
    copied.number = 5
    assert owner.add(1) == 0 and copied.add(1) == 6
    assert replacement.copies == 1


@each_way
@pytest.mark.parametrize("kind", [Owner, OwnCopy])
def test_a_copy_has_what_the_user_put_into_the_methods_place(way, kind):
    owner = kind()
    owner.add = theirs
    MethodReplacement(owner, "add", lambda x: 0).install()
    assert way(owner).add is theirs and owner.add(1) == 0


def test_a_copy_by_other_ways_has_its_own_method():
    owner = Owner()
    MethodReplacement(owner, "add", lambda x: 0).install()
    copied = Owner(5)
    vars(copied).update(copy.deepcopy(vars(owner), {id(owner): copied}))
    copied.number = 5
    assert copied.add(1) == 6


def test_what_stands_in_looks_like_the_method():
    owner = Owner()
    MethodReplacement(owner, "add", lambda x: 0).install()
    plain = Owner().add
    assert inspect.ismethod(owner.add) and owner.add.__self__ is owner
    assert owner.add.__name__ == "add" and owner.add.__doc__ == "Adds."
    assert inspect.signature(owner.add) == inspect.signature(plain)
    assert inspect.getfullargspec(owner.add) == inspect.getfullargspec(plain)


# Of optimizers and models

OPTIMIZERS = {
    "keras": lambda: keras.optimizers.Adam(0.01),
    "keras, scaled": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.01)
    ),
    "tf_keras": lambda: current.SGD(0.01),
    "tf_keras legacy": lambda: legacy.Adam(0.01),
    "tf.compat.v1": lambda: tf.compat.v1.train.GradientDescentOptimizer(0.01),
}


def outcome(action):
    """What comes of it, or the error: tf_keras cannot pickle its own."""
    try:
        return action()
    except Exception as error:
        return type(error), str(error)[:30]


def copied_and_stepped(optimizer, way):
    copied = way(optimizer)
    attributes = sorted(vars(copied))
    variable = tf.Variable([1.0])
    if isinstance(copied, keras.optimizers.Optimizer):
        variable = keras.Variable([1.0])
    copied.apply_gradients([(tf.ones([1]), variable)])
    return type(copied), attributes, float(variable.numpy()[0])


@each_way
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_copied_optimizer_is_as_without_gradscope(way, make, tmp_path):
    plain = outcome(lambda: copied_and_stepped(make(), way))
    optimizer = gradscope.wrap(make(), tmp_path)
    assert outcome(lambda: copied_and_stepped(optimizer, way)) == plain
    assert seam_of(optimizer) is not None
    with pytest.raises(FileNotFoundError):
        gradscope.read(tmp_path)


def small():
    keras.utils.set_random_seed(3)
    return keras.Sequential([keras.Input((12,)), keras.layers.Dense(3)])


@each_way
def test_a_copied_model_trains_as_without_gradscope(way, tmp_path):
    def trained(observed):
        model, optimizer = small(), keras.optimizers.SGD(0.1)
        if observed:
            gradscope.wrap(optimizer, tmp_path, model=model)
        fit(model, optimizer)
        copied = way(model)
        copied.fit(X, Y, verbose=0, shuffle=False)
        return copied.get_weights()

    plain, observed = trained(False), trained(True)
    for expected, actual in zip(plain, observed, strict=True):
        np.testing.assert_array_equal(actual, expected)
    gradscope.flush()
    assert len(gradscope.read(tmp_path).steps) == 22


def test_a_cloned_model_is_not_observed(tmp_path):
    model, optimizer = small(), keras.optimizers.SGD(0.1)
    gradscope.wrap(optimizer, tmp_path, model=model)
    clone = keras.models.clone_model(model)
    assert not {"call", "compute_loss"} & set(vars(clone))
    assert {"call", "compute_loss"} < set(vars(model))


# Of callbacks


@each_way
def test_a_used_callback_is_copied_as_it_was_made(way, tmp_path):
    arguments = {"every": Every(2), "probe": (X[:8], Y[:8]), "window": 100}
    callback = gradscope.Callback(tmp_path / "run", **arguments)
    fit(small(), keras.optimizers.SGD(0.1), callbacks=[callback])
    copied = way(callback)
    fresh = gradscope.Callback(tmp_path / "run", **arguments)
    assert copied.model is None and vars(copied).keys() == vars(fresh).keys()
    assert copied._settings == fresh._settings
    assert copied._fits.present is None and callback._fits.present is not None
    np.testing.assert_equal(copied._fit_probe._batch, fresh._fit_probe._batch)
    objects = ("_settings", "_fits", "_fit_probe")
    for name in vars(fresh).keys() - set(objects):
        np.testing.assert_equal(vars(copied)[name], vars(fresh)[name])


class Named(gradscope.Callback):
    """A user's own has more arguments, and attributes."""

    def __init__(self, logdir, name):
        super().__init__(logdir, findings=False)
        self.name = name


def test_a_copy_of_a_callback_observes_another_training(tmp_path):
    callback = Named(tmp_path / "run", "mine")
    fit(small(), keras.optimizers.SGD(0.1), callbacks=[callback])
    copied = pickled(callback)
    assert type(copied) is Named and copied.name == "mine"
    model = small()
    with pytest.warns(GradscopeWarning, match="of another training"):
        fit(model, keras.optimizers.Adam(0.1), callbacks=[copied])
    record = gradscope.read(tmp_path / "run" / "run_2")
    assert record.schema.optimizer["class"] == "Adam"
    assert len(record.steps) == 22
    assert seam_of(model.optimizer) is None


# Of what is read


@each_way
def test_schedules_and_findings_are_equal_to_their_copies(way):
    finding = gradscope.Finding(
        "dead-relu", "warning", "run", "a", (0, 1), "What.", {"x": 1.0}, "", ""
    )
    values = [Every(3), At([1, 2]), Seconds(2) | Every(4), finding]
    assert [way(value) for value in values] == values


@each_way
def test_a_copied_record_has_the_same_numbers(way, tmp_path):
    callback = gradscope.Callback(tmp_path, findings=False)
    fit(small(), keras.optimizers.SGD(0.1), callbacks=[callback])
    record = gradscope.read(tmp_path)
    copied = way(record)
    np.testing.assert_array_equal(copied.steps, record.steps)
    np.testing.assert_array_equal(
        copied["gradient_norm"], record["gradient_norm"]
    )
    assert gradscope.diagnose(copied) == gradscope.diagnose(record)
