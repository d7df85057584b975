"""Optimizers of parts of a model, and variables that come and go."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from training import X, Y, loss, state

import gradscope
from gradscope.schedule import At, Every

LOOPS = [False, True]


def made(compiled, function):
    return tf.function(function) if compiled else function


def generator_and_discriminator(observed, logdir, compiled):
    """A GAN on 3 numbers; returns everything that training changes."""
    keras.utils.set_random_seed(11)
    layers = keras.layers
    generator = keras.Sequential(
        [keras.Input((2,)), layers.Dense(6, "relu"), layers.Dense(3)],
        name="generator",
    )
    discriminator = keras.Sequential(
        [keras.Input((3,)), layers.Dense(6, "relu"), layers.Dense(1)],
        name="discriminator",
    )
    adams = [keras.optimizers.Adam(0.01) for _ in range(2)]
    models = (generator, discriminator)
    for adam, model in zip(adams, models, strict=True):
        if observed:
            gradscope.wrap(adam, logdir / model.name, every=1)
        adam.build(model.trainable_variables)
    compute = keras.losses.BinaryCrossentropy(from_logits=True)

    def step(real, noise):
        with tf.GradientTape(persistent=True) as tape:
            fakes = discriminator(generator(noise))
            reals = discriminator(real)
            losses = [
                compute(tf.ones_like(fakes), fakes),
                compute(tf.zeros_like(fakes), fakes)
                + compute(tf.ones_like(reals), reals),
            ]
        for adam, model, value in zip(adams, models, losses, strict=True):
            gradients = tape.gradient(value, model.trainable_variables)
            adam.apply(gradients, model.trainable_variables)

    step = made(compiled, step)
    random = np.random.default_rng(0)
    for _ in range(8):
        real, noise = (random.normal(size=[16, n]) for n in (3, 2))
        step(tf.constant(real, tf.float32), tf.constant(noise, tf.float32))
    return [
        array
        for model, adam in zip(models, adams, strict=True)
        for array in state(model, adam)
    ]


@pytest.mark.parametrize("compiled", LOOPS)
def test_each_optimizer_of_a_gan_has_its_run_in_one_directory(
    compiled, tmp_path
):
    observed = generator_and_discriminator(True, tmp_path, compiled)
    plain = generator_and_discriminator(False, None, compiled)
    for expected, actual in zip(plain, observed, strict=True):
        np.testing.assert_array_equal(actual, expected)
    gradscope.flush()
    for name in ("generator", "discriminator"):
        record = gradscope.read(tmp_path / name)
        assert record.steps.tolist() == list(range(8))
        assert len(record.variables) == 4
        assert (record["gradient_norm"] > 0).all()
    with pytest.raises(ValueError, match="holds 2 runs"):
        gradscope.read(tmp_path)


def two_variables(logdir, **options):
    first, second = (
        keras.Variable(value, name=name)
        for name, value in (("a", [3.0, 4.0]), ("b", [1.0]))
    )
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build([first, second])
    return gradscope.wrap(optimizer, logdir, **options), first, second


@pytest.mark.parametrize("compiled", LOOPS)
def test_one_optimizer_of_two_parts_that_take_turns(compiled, tmp_path):
    optimizer, actor, critic = two_variables(tmp_path, every=1)

    def step():
        optimizer.apply([tf.constant([0.6, 0.8])], [actor])
        optimizer.apply([tf.constant([2.0])], [critic])

    step = made(compiled, step)
    for _ in range(3):
        step()
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == list(range(6))
    nan = np.nan
    np.testing.assert_allclose(
        record["gradient_norm"], [[1, nan], [nan, 2]] * 3, rtol=1e-6
    )
    # Who is no part of a step is not missing there, and has not stood still.
    np.testing.assert_array_equal(
        record["gradient_missing"], [[0, nan], [nan, 0]] * 3
    )
    np.testing.assert_allclose(
        record["update_norm"], [[0.1, nan], [nan, 0.2]] * 3, rtol=1e-5
    )
    np.testing.assert_allclose(
        record["global_gradient_norm"], [1, 2] * 3, rtol=1e-6
    )


@pytest.mark.parametrize("compiled", LOOPS)
@pytest.mark.parametrize("turns", [2, 3, 5])
def test_no_part_hides_behind_the_schedule(turns, compiled, tmp_path):
    """Every 10th step of two parts is always the same part's."""
    every = Every(10, dense=0)
    optimizer, actor, critic = two_variables(tmp_path, every=every)

    def of_actor():
        optimizer.apply([tf.constant([0.6, 0.8])], [actor])

    def of_critic():
        optimizer.apply([tf.constant([2.0])], [critic])

    of_actor, of_critic = (made(compiled, f) for f in (of_actor, of_critic))
    for number in range(60):
        of_actor() if number % turns == 0 else of_critic()
    record = gradscope.read(tmp_path)
    of = record["gradient_norm"]
    steps = record.steps
    for part in range(2):
        own = steps[~np.isnan(of[:, part])]
        assert len(own) == 6, own
        assert np.diff(own).max() < 10 + turns
    assert len(steps) == 12


def test_explicit_steps_are_those_of_each_part_from_then_on(tmp_path):
    optimizer, actor, critic = two_variables(tmp_path, every=At([0, 5]))
    for number in range(8):
        variable = (actor, critic)[number % 2]
        optimizer.apply([tf.ones_like(variable)], [variable])
    assert gradscope.read(tmp_path).steps.tolist() == [0, 1, 5, 6]


@pytest.mark.parametrize("how", ["wrap", "callback"])
def test_a_layer_that_is_frozen_half_way_is_no_part_of_later_steps(
    how, tmp_path
):
    def train(observed):
        keras.utils.set_random_seed(3)
        layers = keras.layers
        model = keras.Sequential(
            [
                keras.Input((12,)),
                layers.Dense(4, "relu", name="frozen"),
                layers.Dense(3, name="logits"),
            ]
        )
        optimizer = keras.optimizers.SGD(0.1)
        if observed and how == "wrap":
            gradscope.wrap(optimizer, tmp_path, every=1)
        callbacks = []
        if observed and how == "callback":
            callbacks = [gradscope.Callback(tmp_path, every=1)]
        for trainable in (True, False, True):
            model.layers[0].trainable = trainable
            model.compile(optimizer, loss(), jit_compile=False)
            model.fit(
                X[:48],
                Y[:48],
                batch_size=16,
                shuffle=False,
                verbose=0,
                callbacks=callbacks,
            )
        return state(model, optimizer)

    for expected, actual in zip(train(False), train(True), strict=True):
        np.testing.assert_array_equal(actual, expected)
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == list(range(9))
    assert record.layers == ("frozen", "logits")
    norms = record.by_layer("gradient_norm")
    assert np.isnan(norms[3:6, 0]).all()
    assert np.isfinite(norms[[0, 1, 2, 6, 7, 8]]).all()
    assert np.isfinite(norms[:, 1]).all()


def test_a_value_that_overwrites_its_variable_is_no_gradient(tmp_path):
    """As the scales of float8 training do."""
    scale = keras.Variable([2.0], name="scale")
    scale.overwrite_with_gradient = True
    weight = keras.Variable([3.0, 4.0], name="weight")
    optimizer = gradscope.wrap(
        keras.optimizers.SGD(0.1, clipnorm=1.0), tmp_path
    )
    optimizer.apply([tf.constant([8.0]), tf.ones([2])], [scale, weight])
    assert scale.numpy() == 8
    record = gradscope.read(tmp_path)
    assert record.variables == ("scale/scale", "weight/weight")
    for name in ("gradient_norm", "gradient_missing", "clipped_gradient_norm"):
        assert np.isnan(record[name][0, 0]), name
        assert np.isfinite(record[name][0, 1]), name
    np.testing.assert_array_equal(record["weight_norm"], [[2, 5]])
    np.testing.assert_allclose(record["update_norm"][0, 0], 6)


# TensorFlow says itself that it leaves programs with float8 as they are.
@pytest.mark.filterwarnings("error::gradscope.errors.GradscopeWarning")
def test_a_network_in_float8_is_recorded_activations_and_all(tmp_path):
    def train(*callbacks):
        keras.utils.set_random_seed(1)
        layers = [keras.layers.Dense(8, "relu", name=n) for n in ("a", "b")]
        model = keras.Sequential([keras.Input((8,)), *layers])
        for layer in layers:
            layer.quantize("float8")
        model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False)
        x = np.random.default_rng(0).normal(size=[48, 8]).astype("float32")
        model.fit(x, x, 16, verbose=0, callbacks=list(callbacks))
        return model.get_weights()

    callback = gradscope.Callback(tmp_path, every=1, findings=False)
    for one, other in zip(train(), train(callback), strict=True):
        np.testing.assert_array_equal(one, other)
    record = gradscope.read(tmp_path)
    assert record.activations == ("a/relu", "b/relu")
    assert np.isfinite(record["zero_fraction"]).all()
    rows = [record.variables.index(f"{n}/kernel") for n in ("a", "b")]
    assert np.isfinite(record["gradient_norm"][:, rows]).all()


def test_the_parts_of_a_multi_optimizer_may_be_observed_one_by_one(tmp_path):
    kernel = keras.Variable(np.ones([2, 2], "float32"), name="kernel")
    bias = keras.Variable(np.ones([2], "float32"), name="bias")
    sgd, adam = keras.optimizers.SGD(0.1), keras.optimizers.Adam(0.1)
    several = keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(sgd, {"kernel": adam})
    )
    gradscope.wrap(sgd, tmp_path / "sgd")
    gradscope.wrap(adam, tmp_path / "adam")
    several.apply([tf.ones([2, 2]), tf.ones([2])], [kernel, bias])
    norms = [
        gradscope.read(tmp_path / name)["gradient_norm"].tolist()
        for name in ("sgd", "adam")
    ]
    np.testing.assert_allclose(norms, [[[np.sqrt(2)]], [[2]]], rtol=1e-6)


def test_parts_that_accumulate_are_refused_with_a_remedy(tmp_path):
    slow = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    several = keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.1), {"k": slow})
    )
    with pytest.raises(
        NotImplementedError,
        match=r"different rates\. Wrap each inner optimizer",
    ):
        gradscope.wrap(several, tmp_path)


@pytest.mark.parametrize("jit", [False, True])
def test_a_model_with_an_embedding_keeps_every_bit(jit, tmp_path):
    def train(observed):
        keras.utils.set_random_seed(3)
        layers = keras.layers
        model = keras.Sequential(
            [
                keras.Input((6,), dtype="int32"),
                layers.Embedding(50, 4, name="embedding"),
                layers.GlobalAveragePooling1D(),
                layers.Dense(3),
            ]
        )
        optimizer = keras.optimizers.Adam(0.01)
        if observed:
            gradscope.wrap(optimizer, tmp_path, every=Every(2, dense=0))
        model.compile(optimizer, loss(), jit_compile=jit)
        tokens = np.random.default_rng(0).integers(0, 20, [len(X), 6])
        model.fit(tokens, Y, batch_size=16, verbose=0)
        return state(model, optimizer)

    for expected, actual in zip(train(False), train(True), strict=True):
        np.testing.assert_array_equal(actual, expected)
    record = gradscope.read(tmp_path)
    sizes = record["gradient_size"][:, 0]
    # At most 20 of 50 rows are ever used.
    assert ((sizes > 0) & (sizes <= 80)).all()
    assert (record["gradient_zero_fraction"][:, 0] == 0).all()
