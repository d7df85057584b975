"""Training against inference, layer by layer."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import training

import gradscope
from gradscope.evaluating import (
    check_result,
    layer_modes,
    moving_statistics,
)

layers = keras.layers
rng = np.random.default_rng(0)
X = rng.random((200, 2)).astype("float32")
Y = (2 * X[:, :1] + 3 * X[:, 1:] + 3).astype("float32")


def regression(momentum=0.99, library=keras):
    """2-5-3-1 with tanh and a batch norm behind each layer."""
    made = [library.Input((2,))]
    for number, units in enumerate((5, 3, 1)):
        made += [
            library.layers.Dense(units, name=f"dense_{number}"),
            library.layers.BatchNormalization(
                momentum=momentum, name=f"norm_{number}"
            ),
        ]
        if units > 1:
            made.append(library.layers.Activation("tanh"))
    return library.Sequential(made)


def trained(steps=200, library=keras, **options):
    library.utils.set_random_seed(1)
    model = regression(library=library, **options)
    model.compile(library.optimizers.Adam(0.05), "mse")
    batches = [np.tile(one, (steps, 1)) for one in (X, Y)]
    model.fit(*batches, batch_size=len(X), shuffle=False, verbose=0)
    return model


@pytest.fixture(scope="module")
def model():
    return trained()


@pytest.fixture(scope="module")
def found(model):
    return gradscope.check(model, X, Y)


def norms(model):
    return [one for one in model.layers if layer_modes.is_batch_norm(one)]


def test_the_losses_are_those_of_a_probe(model, found):
    losses = gradscope.probe(model, X, Y)
    assert found.training_loss == pytest.approx(losses.training_loss, rel=1e-5)
    assert found.inference_loss == pytest.approx(
        losses.inference_loss, rel=1e-5
    )
    assert found.gap == found.inference_loss - found.training_loss
    assert found.has_gap and found.gap > 0


def test_with_the_statistics_of_the_batch_inference_is_training(found):
    assert found.statistics_loss == pytest.approx(found.training_loss, rel=1e-4)


def test_distances_are_those_that_one_computes_by_hand(model, found):
    first = norms(model)[0]
    before = model.layers[0](X).numpy().astype("float64")
    variance = before.var(axis=0) + first.epsilon
    deviations = (first.moving_mean.numpy() - before.mean(axis=0)) / np.sqrt(
        variance
    )
    row = found.layers[0]
    assert (row.layer, row.kind, row.momentum) == ("norm_0", "batch_norm", 0.99)
    assert row.mean_distance == pytest.approx(
        np.sqrt(np.mean(deviations**2)), rel=1e-3
    )
    ratios = variance / (first.moving_variance.numpy() + first.epsilon)
    assert row.variance_distance == pytest.approx(
        np.mean(np.abs(np.log(ratios))), rel=1e-3
    )


def test_the_number_of_updates_closes_the_gap_and_one_less_does_not(
    model, found
):
    # Made on another copy, by Keras itself.
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    twin.compile(loss="mse")
    left = 0.01 * abs(found.inference_loss - found.statistics_loss)
    update = tf.function(lambda: twin(X, training=True))
    for _ in range(found.updates - 1):
        update()
    before = gradscope.probe(twin, X, Y).inference_loss
    update()
    after = gradscope.probe(twin, X, Y).inference_loss
    assert abs(after - found.statistics_loss) <= left * 1.001
    assert abs(before - found.statistics_loss) > left * 0.999
    assert found.simulated_loss == pytest.approx(after, rel=1e-3)


def test_updates_that_would_take_too_long_are_not_made(
    model, found, monkeypatch
):
    monkeypatch.setattr(moving_statistics, "MOST_SECONDS", -1)
    short = gradscope.check(model, X, Y)
    assert short.updates == found.updates
    assert math.isnan(short.simulated_loss)
    assert "simulated one by one" not in str(short)


def test_a_share_of_the_distance_shrinks_by_the_momentum(found):
    # .99 ** 459 = .0099
    assert found.updates_by_momentum == 459
    assert 0 < found.updates < 2 * 459


def test_a_spoilt_layer_is_the_cause():
    model = trained(momentum=0.1)
    update = tf.function(lambda: model(X, training=True))
    for number in range(3):
        for _ in range(20):  # all statistics are those of the batch by now
            update()
        whole = gradscope.check(model, X, Y)
        assert whole.cause is None and whole.updates == 0
        norms(model)[number].moving_variance.assign_add(
            3 * tf.ones_like(norms(model)[number].moving_variance)
        )
        found = gradscope.check(model, X, Y)
        assert found.cause == f"norm_{number}"
        rows = {row.layer: row for row in found.layers}
        assert rows[found.cause].share == pytest.approx(1, abs=1e-3)
        assert rows[found.cause].repaired == pytest.approx(
            found.training_loss, rel=1e-3
        )
        assert all(
            abs(row.share) < 1e-3
            for name, row in rows.items()
            if name != found.cause
        )


def test_nothing_moves(model):
    before = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
    python = [dict(vars(layer)) for layer in model.layers]
    gradscope.check(model, X, Y)
    after = (*model.variables, *model.optimizer.variables)
    for expected, actual in zip(before, after, strict=True):
        np.testing.assert_array_equal(actual.numpy(), expected)
    assert [dict(vars(layer)) for layer in model.layers] == python


def test_training_goes_on_with_the_same_bits():
    keras.utils.set_random_seed(2)
    state = []
    for checks in (False, True):
        keras.utils.set_random_seed(2)
        model = training.dense_model()
        model.compile("adam", training.loss())
        for _ in range(2):
            options = {"shuffle": False, "verbose": 0}
            model.fit(training.X, training.Y, **options)
            if checks:
                gradscope.check(model, training.X, training.Y)
        state.append([v.numpy() for v in model.variables])
    for expected, actual in zip(*state, strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_dropout_that_drops_too_much_is_the_cause():
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(32, "relu"),
            layers.Dropout(0.01, name="little"),
            layers.Dropout(0.9, name="much"),
            layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    model.fit(X, Y, epochs=30, verbose=0)
    found = gradscope.check(model, X, Y)
    assert found.cause == "much" and math.isnan(found.statistics_loss)
    assert "`much` (Dropout) is the cause" in str(found)
    assert [row.layer for row in found.layers] == ["little", "much"]


def test_a_layer_of_the_users_own_is_switched_too():
    class Doubled(layers.Layer):
        def call(self, inputs, training=False):
            return 2 * inputs if training else inputs

    model = keras.Sequential(
        [keras.Input((2,)), Doubled(name="own"), layers.Dense(1)]
    )
    model.compile("adam", "mse")
    found = gradscope.check(model, X, Y)
    assert found.cause == "own" and found.layers[0].kind == "Doubled"
    assert found.layers[0].share == pytest.approx(1, abs=1e-4)


def test_a_model_without_modes_has_no_gap():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    model.compile("adam", "mse")
    found = gradscope.check(model, X, Y)
    assert found.cause is None and found.layers == () and not found.has_gap
    assert str(found).startswith("Both modes agree: the loss is")
    assert "No layer computes anything different in training mode." in str(
        found
    )


def test_a_momentum_of_one_never_closes_it():
    model = trained(100, momentum=1.0)
    found = gradscope.check(model, X, Y)
    # The formula's limit is where they are: there is nothing to be gained.
    assert found.updates == 0 and found.updates_by_momentum == math.inf
    assert "would not make the gap smaller" in " ".join(str(found).split())
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_model_of_tf_keras():
    found = gradscope.check(trained(100, tf_keras), X, Y)
    assert found.statistics_loss == pytest.approx(found.training_loss, rel=1e-2)
    assert found.cause in {"norm_0", "norm_1", "norm_2"}


def test_the_text_says_what_to_read_off_it(found):
    words = " ".join(str(found).split())
    assert words.startswith("The modes differ: the loss is")
    assert f"The moving statistics of `{found.cause}` are the" in words
    assert f"{found.updates} further updates of the moving statistics" in words
    assert "close 99% of the gap (simulated one by one: the loss" in words
    assert max(map(len, str(found).splitlines())) <= 80


def test_json_has_what_python_has(found):
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["version"] == check_result.JSON_VERSION == 1
    assert told["verdict"] == check_result.verdict(found)
    assert told["layers"][0]["layer"] == "norm_0"
    assert told["updates"] == found.updates and told["has_gap"] is True


@pytest.mark.parametrize("closed", [0, 1, 2.0])
def test_a_share_out_of_range(model, closed):
    with pytest.raises(
        ValueError, match=r"`closed` must be a share.*to use 0\.99"
    ):
        gradscope.check(model, X, Y, closed=closed)


def test_another_share_takes_other_updates(model, found):
    half = gradscope.check(model, X, Y, closed=0.5)
    assert 0 < half.updates < found.updates


def test_what_is_no_model_and_what_has_no_loss():
    with pytest.raises(
        TypeError, match="must be a Model of Keras 3 or of tf_k"
    ):
        gradscope.check(3, X, Y)
    with pytest.raises(ValueError, match="has no loss to probe"):
        gradscope.check(regression(), X, Y)


def test_while_a_graph_is_built(model):
    with pytest.raises(RuntimeError, match=r"gradscope\.check needs eager"):
        tf.function(lambda: gradscope.check(model, X, Y))()
