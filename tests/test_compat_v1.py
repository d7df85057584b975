"""Optimizers of TensorFlow 1, in a session, in eager mode and in functions."""

import collections

import numpy as np
import pytest
import tensorflow as tf
from sessions import KINDS, OPTIMIZERS, STEPS, Network, assert_same, train, v1
from test_values import expected_statistics

import gradscope


def traces(graph):
    """Returns what a checkpoint, a report or an export knows of a graph."""
    with graph.as_default():
        saver = v1.train.Saver()
        return {
            "collections": {
                name: [getattr(item, "name", item) for item in items]
                for name in graph.get_all_collection_keys()
                for items in [graph.get_collection(name)]
            },
            "saved": sorted(v.name for v in saver._var_list),
            "uninitialized": sorted(
                v1.Session().run(v1.report_uninitialized_variables()).tolist()
            ),
        }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_is_the_same_bit_for_bit(optimizer, kind, tmp_path):
    plain, plain_network = train(optimizer, kind)
    notes, network = train(optimizer, kind, tmp_path, every=1, histograms=2)
    assert_same(notes, plain)
    assert network.train_op.name == plain_network.train_op.name
    assert traces(network.graph) == traces(plain_network.graph)
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == list(range(STEPS))
    assert list(record.variables) == network.names
    for row, variable in enumerate(network.variables):
        for step in range(STEPS):
            before, after = (
                notes[n][variable.name].astype(np.float64)
                for n in (step, step + 1)
            )
            np.testing.assert_allclose(
                [record[s][step, row] for s in ("weight_norm", "update_norm")],
                [np.linalg.norm(before), np.linalg.norm(after - before)],
                rtol=1e-5,
            )
