"""What is to be recorded, computed by other means; how TensorBoard reads it."""

import numpy as np
from unit_spreads import expected as unit_spread


def norm(array):
    return np.linalg.norm(array.astype(np.float64).ravel())


def expected_statistics(gradient, before, after):
    update = after.astype(np.float64) - before
    with np.errstate(divide="ignore"):
        return {
            "gradient_norm": norm(gradient),
            "gradient_rms": np.sqrt(np.mean(gradient.astype(np.float64) ** 2)),
            "gradient_max": np.abs(gradient).max(),
            "gradient_zero_fraction": np.mean(gradient == 0),
            "gradient_size": gradient.size,
            "gradient_nonfinite": 0.0,
            "gradient_unit_spread": unit_spread(gradient),
            "clipped_gradient_norm": np.nan,
            "weight_norm": norm(before),
            "weight_rms": norm(before) / np.sqrt(before.size),
            "update_norm": norm(update),
            "gradient_to_weight_ratio": np.divide(norm(gradient), norm(before)),
            "update_to_weight_ratio": np.divide(norm(update), norm(before)),
            "gradient_missing": 0.0,
        }


def tensorboard_histograms(logdir):
    """Returns the histograms that TensorBoard sees below a directory."""
    from tensorboard.backend.event_processing import event_accumulator
    from tensorboard.util import tensor_util

    accumulator = event_accumulator.EventAccumulator(
        str(logdir / "gradscope"), size_guidance={"tensors": 0}
    )
    accumulator.Reload()
    try:
        tags = accumulator.PluginTagToContent("histograms")
    except KeyError:  # there are none
        return {}
    return {
        tag: [
            (event.step, tensor_util.make_ndarray(event.tensor_proto))
            for event in accumulator.Tensors(tag)
        ]
        for tag in tags
    }
