"""Reads the histograms of a variable, which TensorBoard's own tab shows, too.

Their buckets (`gradscope.format.histogram_buckets`) are half an octave wide and
the same in every step, so that each step is a column of counts.
"""

from __future__ import annotations

import bisect
import re
from typing import TYPE_CHECKING

import numpy as np
from tensorboard.data import provider

from gradscope.format import histogram_buckets
from gradscope.format.step_order import valid_points

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tensorboard.context import RequestContext

#: The tensors that have histograms, as the first part of a tag.
KINDS = ("gradients", "weights", "updates")

#: Most steps of a reply: the page has no more pixels. With 257 rows it is 1 MB.
MOST = 1000

#: TensorBoard's plugin to which the histograms belong.
PLUGIN = "histograms"

# The ratios that are written with histograms, and how many of them are read.
_RATIO = re.compile("ratios/.+/gradient_to_weight$", re.DOTALL)
_RATIOS = 8

# Steps of a tag that TensorBoard keeps by default: with its data server, and
# without.
_DEFAULTS = (100, 500)


def tag(kind: str, variable: str) -> str:
    """Return the tag of a variable's histograms of one of `KINDS`."""
    return f"{kind}/{variable}"


def recorded_kinds(
    data_provider: provider.DataProvider,
    ctx: RequestContext,
    experiment_id: str,
    run: str,
    variables: Iterable[str],
) -> dict[str, list[str]]:
    """List for each variable the kinds of histograms that were recorded.

    Args:
        data_provider: Reads the histograms.
        ctx: TensorBoard's `RequestContext`.
        experiment_id: TensorBoard's name of the log directory.
        run: Name of the run.
        variables: Names of variables.
    """
    tags = [tag(kind, name) for name in variables for kind in KINDS]
    recorded_tags = data_provider.list_tensors(
        ctx,
        experiment_id=experiment_id,
        plugin_name=PLUGIN,
        run_tag_filter=provider.RunTagFilter(runs=[run], tags=tags),
    ).get(run, {})
    return {
        name: [kind for kind in KINDS if tag(kind, name) in recorded_tags]
        for name in variables
    }


def read(
    data_provider: provider.DataProvider,
    ctx: RequestContext,
    experiment_id: str,
    run: str,
    tag_name: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Read the histograms of a tag.

    Args:
        data_provider: Reads the histograms.
        ctx: TensorBoard's `RequestContext`.
        experiment_id: TensorBoard's name of the log directory.
        run: Name of the run.
        tag_name: The tag.

    Returns:
        The steps, int64 `[T]`, and the counts, float32 `[T, 257]`: of all
        buckets but the last one, of values that are not finite, which
        TensorBoard's histograms do not have.
    """
    series = data_provider.read_tensors(
        ctx,
        experiment_id=experiment_id,
        plugin_name=PLUGIN,
        downsample=MOST,
        run_tag_filter=provider.RunTagFilter(runs=[run], tags=[tag_name]),
    )
    points = valid_points(
        [
            (point.step, point.wall_time, point.numpy)
            for point in series.get(run, {}).get(tag_name, [])
            # TensorBoard's histograms have the columns left edge, right edge
            # and count; another plugin's or a damaged one may have others.
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


def count_recorded(
    data_provider: provider.DataProvider,
    ctx: RequestContext,
    experiment_id: str,
    run: str,
    variable: str,
    count: int,
    samples: int | None,
) -> int:
    """Count the recorded histograms of a variable, also those not kept.

    All histograms of a step are written together with ratios for the Scalars
    tab, and TensorBoard keeps 1000 of each. With more the count is too small.

    Args:
        data_provider: Reads the scalars.
        ctx: TensorBoard's `RequestContext`.
        experiment_id: TensorBoard's name of the log directory.
        run: Name of the run.
        variable: Name of the variable.
        count: Number of histograms that TensorBoard kept.
        samples: The number that TensorBoard keeps, None by default.
    """
    # Below a limit none was dropped.
    limits = _DEFAULTS if samples is None else (samples,)
    if count not in (*limits, MOST):
        return count
    of_run = {"experiment_id": experiment_id, "plugin_name": "scalars"}
    listed = data_provider.list_scalars(
        ctx, **of_run, run_tag_filter=provider.RunTagFilter(runs=[run])
    )
    names = [name for name in listed.get(run, {}) if _RATIO.match(name)]
    # Older versions wrote a ratio for each variable; now each layer with a
    # kernel has one, in each step in which it is defined.
    of_variable = f"ratios/{variable}/gradient_to_weight"
    names = [of_variable] if of_variable in names else names[:_RATIOS]
    series = data_provider.read_scalars(
        ctx,
        **of_run,
        downsample=10**9,
        run_tag_filter=provider.RunTagFilter(runs=[run], tags=names),
    )
    counts = [
        len(valid_points([(point.step,) for point in points]))
        for points in series.get(run, {}).values()
    ]
    return max(count, *counts, 0)


_EDGES = histogram_buckets.edges()[:-1].tolist()


def _bucket(left: float) -> int:
    """Find the bucket that begins at an edge, or next to it."""
    return min(max(bisect.bisect_right(_EDGES, left) - 1, 0), len(_EDGES) - 1)
