"""Findings about gradients that shrink or grow from layer to layer."""

import numpy as np
import pytest
from model_runs import STUCK
from synthetic import network, record, since

import gradscope

#: Without activations and data, so that the rules look at gradients alone.
SIX = network(6)


def gradients(**by_layer):
    return {f"{layer}/kernel": rms for layer, rms in by_layer.items()}


def test_a_gradient_that_explodes_names_the_layers_that_it_compares():
    """The first layer and the last may have a small gradient each."""
    rms = gradients(dense_1=0.1, dense_2=100.0, dense_5=0.02, dense_6=1e-4)
    run = record(SIX, gradient_rms=rms, loss=STUCK)
    (finding,) = gradscope.diagnose(run)
    assert finding.kind == "exploding-gradient"
    assert "its rms in `dense_2` is 5000 times its rms in `dense_5`" in (
        finding.what
    )
    assert finding.evidence["ratio"] == pytest.approx(5000)


def test_a_gradient_beside_none_at_all_is_no_explosion():
    none = gradients(dense_5=0.0, dense_6=0.0)
    run = record(SIX, gradient_rms=none, gradient_norm=none, loss=STUCK)
    (finding,) = gradscope.diagnose(run)
    assert (finding.kind, finding.layer) == ("zero-gradient", "dense_5")


def test_a_gradient_that_begins_after_a_while_has_not_exploded():
    """As behind a layer of zeros, which gets its weights first."""
    late = since(12, 0.3, 0.0)
    run = record(SIX, global_gradient_norm=late, loss=STUCK)
    assert gradscope.diagnose(run) == []


@pytest.mark.parametrize("records", [1, 20])
def test_experts_that_take_turns_have_the_size_of_their_turns(records):
    """Most of the time each of them has a gradient of exactly zero."""
    turn = np.arange(100) % 3
    rms = {
        f"dense_{layer}/kernel": np.where(turn == layer % 3, size, 0)
        for layer, size in enumerate(3 * [1e-6] + 3 * [0.01], start=1)
    }
    run = record(network(9), gradient_rms=rms, loss=STUCK)
    (finding,) = gradscope.diagnose(
        run, limits={"vanishing-gradient.records": records}
    )
    assert finding.kind == "vanishing-gradient"
    assert "`dense_1` is 1/10,000 of its rms in `dense_7`" in finding.what


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        (0.002, ", so the first layers hardly learn"),
        (1e-4, "moves the first layers by up to 0.1 %"),
    ],
)
def test_the_update_that_hardly_moves_a_layer_is_a_limit(limit, sentence):
    run = record(SIX, gradient_rms=gradients(dense_1=1e-6, dense_2=1e-6))
    (finding,) = gradscope.diagnose(
        run, limits={"vanishing-gradient.moved": limit}
    )
    assert finding.kind == "vanishing-gradient"
    assert finding.what.endswith(sentence)
