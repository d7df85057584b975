"""Models that train with optimizers of their own in `fit`: GANs, ensembles."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from thinning import thinned

import gradscope
from gradscope.errors import GradscopeWarning
from gradscope.wrapping.fit import other_optimizers

X = np.random.default_rng(0).normal(size=(48, 2)).astype("float32")
STEPS = 6


def part(library, units):
    layers = library.layers
    made = library.Sequential(
        [layers.Dense(8, "relu", name="hidden"), layers.Dense(units)]
    )
    made.build((None, 2))
    return made


def gan(library):
    """Returns the class of a GAN as Keras's own examples have it."""

    class Gan(library.Model):
        def __init__(self, logs):
            super().__init__()
            self.judge, self.maker = part(library, 1), part(library, 2)
            self.logs = logs
            self.means = [
                library.metrics.Mean(name=name) for name in ("d_loss", "g_loss")
            ]

        def compile(self, d_optimizer, g_optimizer, **options):
            super().compile(**options)
            self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer

        @property
        def metrics(self):
            return self.means if self.logs == "metrics" else []

        def call(self, x):
            return self.judge(x)

        def train_step(self, data):
            x = data[0] if isinstance(data, tuple) else data
            cross = tf.nn.sigmoid_cross_entropy_with_logits
            noise = x[:, ::-1] * 2
            with tf.GradientTape() as tape:
                true, false = self.judge(x), self.judge(self.maker(noise))
                d_loss = tf.reduce_mean(cross(tf.ones_like(true), true))
                d_loss += tf.reduce_mean(cross(tf.zeros_like(false), false))
            weights = self.judge.trainable_variables
            grads = tape.gradient(d_loss, weights)
            self.d_optimizer.apply_gradients(zip(grads, weights, strict=True))
            with tf.GradientTape() as tape:
                false = self.judge(self.maker(noise))
                g_loss = tf.reduce_mean(cross(tf.ones_like(false), false))
            weights = self.maker.trainable_variables
            grads = tape.gradient(g_loss, weights)
            self.g_optimizer.apply_gradients(zip(grads, weights, strict=True))
            losses = [d_loss, g_loss]
            if self.logs == "metrics":
                for mean, loss in zip(self.means, losses, strict=True):
                    mean.update_state(loss)
                losses = [mean.result() for mean in self.means]
            return dict(zip(("d_loss", "g_loss"), losses, strict=True))

    return Gan


def train(library, logs, logdir=None, epochs=1, **options):
    """Returns the model, and what its steps logged."""
    library.utils.set_random_seed(3)
    model = gan(library)(logs)
    optimizers = library.optimizers
    model.compile(optimizers.Adam(0.01), optimizers.RMSprop(0.01), **options)
    kept, callbacks = [], []

    def keep(batch, logs):
        kept.append({name: float(value) for name, value in logs.items()})

    if logdir is not None:
        callbacks = [gradscope.Callback(logdir, every=1, findings=False)]
    model.fit(
        X,
        batch_size=8,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[
            library.callbacks.LambdaCallback(on_train_batch_end=keep),
            *callbacks,
        ],
    )
    return model, kept


def state(model):
    optimizers = [model.d_optimizer, model.g_optimizer]
    variables = [v for one in (model, *optimizers) for v in one.variables]
    return [np.asarray(v) for v in variables]


CASES = [
    (library, logs, options)
    for library in (keras, tf_keras)
    for logs in ("metrics", "as they are")
    for options in (
        {"jit_compile": False},
        {"jit_compile": True},
        {"run_eagerly": True},
        {"jit_compile": False, "steps_per_execution": 3},
    )
]


@pytest.mark.parametrize(
    "library, logs, options",
    thinned(
        CASES,
        fast=[
            (keras, "metrics", {"jit_compile": False}),
            (keras, "as they are", {"run_eagerly": True}),
            (
                tf_keras,
                "metrics",
                {"jit_compile": False, "steps_per_execution": 3},
            ),
        ],
    ),
)
def test_both_optimizers_of_a_gan_are_runs(library, logs, options, tmp_path):
    plain, logged = train(library, logs, **options)
    observed, same = train(library, logs, tmp_path, **options)
    for one, other in zip(state(plain), state(observed), strict=True):
        np.testing.assert_array_equal(one, other)
    assert logged == same
    for name, cls in (("d", "Adam"), ("g", "RMSprop")):
        record = gradscope.read(tmp_path / f"{name}_optimizer")
        assert record.schema.optimizer["class"] == cls
        assert record.steps.tolist() == list(range(STEPS))
        assert len(record.variables) == 4
        assert np.isfinite(record["gradient_norm"]).all()
        values = [log.values for log in record.logs]
        assert [set(value) for value in values] == [{"d_loss", "g_loss"}]
        optimizer = getattr(observed, f"{name}_optimizer")
        assert not {"apply", "apply_gradients"} & set(vars(optimizer))
    assert "train_step" not in vars(observed)


@pytest.mark.parametrize(
    "library, logs",
    [
        (keras, "metrics"),
        (keras, "as they are"),
        (tf_keras, "as they are"),
    ],
)
def test_the_losses_are_those_that_the_step_logs(library, logs, tmp_path):
    _, logged = train(library, logs, tmp_path, jit_compile=False)
    for name in ("d", "g"):
        record = gradscope.read(tmp_path / f"{name}_optimizer")
        assert record.schema.unseen == ()
        expected = np.array([log[f"{name}_loss"] for log in logged])
        actual = record["loss"]
        if logs == "metrics":  # which log means of the steps so far
            actual = np.cumsum(actual) / np.arange(1, STEPS + 1)
        np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.slow
def test_norms_are_those_of_a_tape(tmp_path):
    library, kept = keras, []
    original = library.optimizers.Adam.apply_gradients

    def noting(self, pairs):
        pairs = list(pairs)
        kept.append([float(tf.norm(g)) for g, _ in pairs])
        return original(self, pairs)

    library.optimizers.Adam.apply_gradients = noting
    try:
        train(library, "metrics", run_eagerly=True)
    finally:
        library.optimizers.Adam.apply_gradients = original
    train(library, "metrics", tmp_path, jit_compile=False)
    record = gradscope.read(tmp_path / "d_optimizer")
    np.testing.assert_allclose(record["gradient_norm"], kept, rtol=1e-5)


@pytest.mark.slow
def test_a_second_fit_goes_on(tmp_path):
    model, _ = train(keras, "metrics", tmp_path)
    callback = gradscope.Callback(tmp_path, every=1, findings=False)
    for _ in range(2):
        model.fit(X, batch_size=8, verbose=0, callbacks=[callback])
    for name in ("d_optimizer", "g_optimizer"):
        steps = gradscope.read(tmp_path / name).steps
        assert steps.tolist() == list(range(3 * STEPS))


def test_what_the_user_wraps_is_the_users(tmp_path):
    model = gan(keras)("metrics")
    mine = gradscope.wrap(keras.optimizers.Adam(), tmp_path / "mine", every=1)
    model.compile(mine, keras.optimizers.Adam())
    callback = gradscope.Callback(tmp_path, every=1, findings=False)
    model.fit(X, batch_size=8, verbose=0, callbacks=[callback])
    gradscope.flush()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "g_optimizer",
        "gradscope",
        "mine",
    ]
    assert len(gradscope.read(tmp_path / "mine").steps) == STEPS
    gradscope.unwrap(mine)


def test_a_failure_of_ours_is_told_and_training_goes_on(tmp_path, monkeypatch):
    plain, _ = train(keras, "metrics")

    def broken(*_):
        raise RuntimeError("no such luck")

    monkeypatch.setattr("gradscope.measuring.statistics.measure", broken)
    with pytest.warns(GradscopeWarning, match="cannot observe .*no such luck"):
        observed, _ = train(keras, "metrics", tmp_path)
    for one, other in zip(state(plain), state(observed), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_optimizer_that_cannot_be_observed_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "gradscope.wrapping.optimizers.keras.unsupported",
        lambda one: "it is odd" if "Adam" in type(one).__name__ else None,
    )
    model = gan(keras)("metrics")
    model.compile(keras.optimizers.SGD(), keras.optimizers.Adam())
    callback = gradscope.Callback(tmp_path, every=1, findings=False)
    with pytest.warns(GradscopeWarning, match="cannot observe.*it is odd"):
        model.fit(X, batch_size=8, verbose=0, callbacks=[callback])
    assert (tmp_path / "d_optimizer").is_dir()
    assert not (tmp_path / "g_optimizer").exists()


def test_optimizers_are_found_in_lists_and_by_their_names():
    adam, sgd, scaled = (
        keras.optimizers.Adam(),
        keras.optimizers.SGD(),
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()),
    )

    class Model(keras.Model):
        of_class = keras.optimizers.Lion()

    model = Model()
    model.compile(adam, "mse")
    model.parts = [adam, sgd]
    model.again = sgd
    model._by_name = {"b": scaled}
    model.data = [keras.optimizers.SGD()] * 101  # as long as no list of those

    def is_supported(value):
        return isinstance(value, keras.optimizers.Optimizer)

    found = other_optimizers.held_optimizers(model, is_supported)
    lion = Model.of_class
    assert found == {"of_class": lion, "parts_1": sgd, "by_name_b": scaled}


@pytest.mark.parametrize(
    "optimizer, loss",
    [
        ("d_optimizer", "d_loss"),
        ("optimizer_G", "loss_G"),
        ("generator_optimiser", "generator_loss"),
        ("disc_opt", "disc_loss"),
    ],
)
def test_names_of_losses(optimizer, loss):
    assert other_optimizers.loss_name(optimizer) == loss


def test_a_loss_is_known_where_another_optimizer_steps_twice(tmp_path):
    class Critic(keras.Model):  # as that of a Wasserstein GAN
        def __init__(self):
            super().__init__()
            self.judge, self.maker = part(keras, 1), part(keras, 2)

        def compile(self, d_optimizer, g_optimizer):
            super().compile()
            self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer

        def train_step(self, data):
            x = data[0] if isinstance(data, tuple) else data
            for _ in range(2):
                with tf.GradientTape() as tape:
                    d_loss = tf.reduce_mean(self.judge(self.maker(x)))
                    d_loss -= tf.reduce_mean(self.judge(x))
                self.step(self.d_optimizer, tape, d_loss, self.judge)
            with tf.GradientTape() as tape:
                g_loss = -tf.reduce_mean(self.judge(self.maker(x)))
            self.step(self.g_optimizer, tape, g_loss, self.maker)
            return {"d_loss": d_loss, "g_loss": g_loss}

        def step(self, optimizer, tape, loss, part):
            weights = part.trainable_variables
            optimizer.apply(tape.gradient(loss, weights), weights)

    model = Critic()
    model.compile(keras.optimizers.Adam(), keras.optimizers.Adam())
    callback = gradscope.Callback(tmp_path, every=1, findings=False)
    logged = model.fit(
        X[:8], batch_size=8, epochs=2, verbose=0, callbacks=[callback]
    ).history
    judge = gradscope.read(tmp_path / "d_optimizer")
    assert len(judge.steps) == 4
    assert np.isnan(judge["loss"]).all()
    told = "the loss: `train_step` computes the `d_loss` that it logs only"
    assert [one.startswith(told) for one in judge.schema.unseen] == [True]
    assert gradscope.diagnose(judge) == []
    maker = gradscope.read(tmp_path / "g_optimizer")
    np.testing.assert_allclose(maker["loss"], logged["g_loss"], rtol=1e-6)
    assert maker.schema.unseen == ()


def test_a_loss_of_another_name_is_said_not_to_be_known(tmp_path):
    class Other(gan(keras)):
        def train_step(self, data):
            logs = super().train_step(data)
            return {"judged": logs["d_loss"], "g_loss": logs["g_loss"]}

    model = Other("as they are")
    model.compile(keras.optimizers.Adam(), keras.optimizers.Adam())
    callback = gradscope.Callback(tmp_path, every=1, findings=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, batch_size=8, verbose=0, callbacks=[callback])
    record = gradscope.read(tmp_path / "d_optimizer")
    assert np.isnan(record["loss"]).all()
    told = "the loss: `train_step` logs no `d_loss` that gradscope can find"
    assert record.schema.unseen == (told,)
    known = gradscope.read(tmp_path / "g_optimizer")
    assert np.isfinite(known["loss"]).all()
