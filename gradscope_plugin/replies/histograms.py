"""Histograms of one variable, from TensorBoard's own Histograms tab.

gradscope has its own buckets (`gradscope.format.histogram_buckets`): half
an octave each, the same in every step, so that a step is a column of counts.
"""

from __future__ import annotations

import bisect

import numpy as np
from tensorboard.data import provider

from gradscope.format import histogram_buckets
from gradscope.format.step_order import valid_points

#: What there are histograms of: first part of the tags.
KINDS = ("gradients", "weights", "updates")

#: Steps of a reply: a page has not more pixels, and 257 rows are 1 MB.
MOST = 1000

_PLUGIN = "histograms"

# What TensorBoard keeps of a tag by default: with its data server, without.
_DEFAULTS = (100, 500)


def tag(kind: str, variable: str) -> str:
    """Returns the tag of a variable's histograms."""
    return f"{kind}/{variable}"


def kinds_of(data_provider, ctx, experiment_id, run, variables) -> dict:
    """Returns of each variable the kinds of which there are histograms."""
    wanted = [tag(kind, name) for name in variables for kind in KINDS]
    listed = data_provider.list_tensors(
        ctx,
        experiment_id=experiment_id,
        plugin_name=_PLUGIN,
        run_tag_filter=provider.RunTagFilter(runs=[run], tags=wanted),
    ).get(run, {})
    return {
        name: [kind for kind in KINDS if tag(kind, name) in listed]
        for name in variables
    }


def read(data_provider, ctx, experiment_id, run, tag_name):
    """Returns the steps `[T]` of a tag and its counts, float32 `[T, 257]`.

    The last of `gradscope.format.histogram_buckets`, of what is not finite, is
    not among TensorBoard's.
    """
    found = data_provider.read_tensors(
        ctx,
        experiment_id=experiment_id,
        plugin_name=_PLUGIN,
        downsample=MOST,
        run_tag_filter=provider.RunTagFilter(runs=[run], tags=[tag_name]),
    )
    points = valid_points(
        [
            (point.step, point.wall_time, point.numpy)
            for point in found.get(run, {}).get(tag_name, [])
            if np.ndim(point.numpy) == 2
            and point.numpy.shape[1] == 3
            and point.numpy.dtype.kind == "f"
        ]
    )
    steps = np.array([step for step, _, _ in points], np.int64)
    counts = np.zeros([len(points), histogram_buckets.COUNT - 1], np.float32)
    for column, (_, _, rows) in zip(counts, points, strict=True):
        for left, _, count in rows:
            column[_bucket(left)] += count
    return steps, counts


def written(
    data_provider, ctx, experiment_id, run, variable, kept: int, samples
) -> int:
    """Returns how many histograms of a variable were recorded, as far as is
    known: at least, where TensorBoard has sampled the scalars away as well.

    Each of them is written together with a ratio for the Scalars tab, of which
    TensorBoard keeps 1000.

    Args:
        data_provider, ctx, experiment_id, run: Where.
        variable: Its name.
        kept: How many histograms there are.
        samples: How many TensorBoard was told to keep, None by default.
    """
    # Where a gradient was missing there is a ratio and no histogram.
    limits = _DEFAULTS if samples is None else (samples,)
    if kept not in (*limits, MOST):
        return kept
    name = f"ratios/{variable}/gradient_to_weight"
    found = data_provider.read_scalars(
        ctx,
        experiment_id=experiment_id,
        plugin_name="scalars",
        downsample=10**9,
        run_tag_filter=provider.RunTagFilter(runs=[run], tags=[name]),
    )
    points = [(p.step,) for p in found.get(run, {}).get(name, [])]
    return max(kept, len(valid_points(points)))


_EDGES = histogram_buckets.edges()[:-1].tolist()


def _bucket(left: float) -> int:
    """Returns the bucket that begins at an edge, the nearest one of ours."""
    return min(max(bisect.bisect_right(_EDGES, left) - 1, 0), len(_EDGES) - 1)
