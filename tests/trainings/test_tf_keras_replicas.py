"""tf_keras on two replicas: the same weights, and the global gradients."""

import json
import pickle

import forked
import numpy as np
import pytest
import tf_keras_replicas as replicas
from replica_checks import check, same_weights
from thinning import selected, thinned

import gradscope


@pytest.fixture(scope="module")
def trained(request, tmp_path_factory):
    cases = json.dumps(selected(request, "mode", "optimizer", "how"))
    out = tmp_path_factory.mktemp("mirrored") / "weights"
    errors = out.with_suffix(".errors")
    process = forked.start(replicas.main, out, cases, errors=errors)
    assert forked.finish(process, errors, limit=240) == ""
    with open(out, "rb") as file:
        return pickle.load(file), f"{out}.logs"


@pytest.mark.parametrize(
    "mode, optimizer, how", thinned(replicas.CASES, replicas.FAST)
)
def test_replicas_train_the_same_and_have_global_values(
    mode, optimizer, how, trained
):
    weights, logs = trained
    observed = weights[mode, optimizer, how]
    same_weights(weights[mode, optimizer, None], observed)
    record = gradscope.read(f"{logs}/{mode}_{optimizer}_{how}")
    check(record, replicas, observed)
    # Clipped after all replicas' gradients were added up.
    clipped = np.minimum(record["gradient_norm"], replicas.CLIP)
    np.testing.assert_allclose(
        record["clipped_gradient_norm"], clipped, rtol=1e-5
    )
    scaled = "scaled" in optimizer
    scales = [2.0**15 if scaled else np.nan] * replicas.STEPS
    np.testing.assert_array_equal(record["loss_scale"], scales)
    skipped = [0 if scaled else np.nan] * replicas.STEPS
    np.testing.assert_array_equal(record["skipped"], skipped)
