"""Drains of a synthetic run, to which a test appends frames by hand."""

import collections

import numpy as np
from plugin_client import plugin_context
from tensorboard.data import provider as tensorboard_provider

from gradscope.format import histogram_buckets, schema
from gradscope.format.step_layout import HEADER, MEASURED, Layout
from gradscope.reading import event_files
from gradscope.recording import drain, host_ring, tensorboard_tabs


def network(*layers):
    return schema.Schema(
        tuple(
            schema.Variable(f"{name}/kernel", name, (2, 2), "float32")
            for name in layers
        )
    )


def new(file, described):
    count = len(described.variables)
    return drain.Drain(
        file,
        described,
        host_ring.HostRing(100),
        host_ring.HostRing(100),
        list(range(count)),
        window=10,
    )


def append(records, *steps, skipped=False, rate=None):
    """Appends steps with histograms, or tries that a loss scale skipped.

    The learning rate is that of the argument, or the step.
    """
    layout = Layout.of(records.schema)
    for step in steps:
        row = np.ones(layout.width, np.float32)
        parts = layout.split(row)
        parts["origin"][:] = np.nan
        parts["variables"][:, MEASURED.index("gradient_missing")] = 0
        rate_of_step = step if rate is None else rate
        parts["header"][HEADER.index("learning_rate")] = rate_of_step
        if skipped:
            row[len(HEADER) :] = np.nan
        else:
            count = len(records.selected)
            numbers = np.zeros(tensorboard_tabs.width(count), np.float32)
            counts, _ = tensorboard_tabs.split(numbers, count)
            counts[:, :, histogram_buckets.ZERO] = 1
            records.histograms.put(step, numbers, 0, np.add)
        records.ring.put(step, row, 0, np.add)


def shown_steps(source, run):
    """Returns the steps of each tag of a run that a data provider has."""
    shown = {}
    for plugin in ("scalars", "histograms", "text", "gradscope"):
        kind = "scalars" if plugin == "scalars" else "tensors"
        by_run = getattr(source, f"read_{kind}")(
            plugin_context(),
            experiment_id="",
            plugin_name=plugin,
            downsample=10**6,
            run_tag_filter=tensorboard_provider.RunTagFilter(),
        )
        for tag, points in by_run.get(run, {}).items():
            shown[tag] = [point.step for point in points]
    return shown


def steps_of_tags(directory):
    """Returns the steps of each tag in the order of writing, and those of all
    events."""
    of_tags, of_events = collections.defaultdict(list), []
    for path in event_files.event_files(str(directory)):
        for event in event_files.events(path):
            of_events += [event.step] if event.summary.value else []
            for value in event.summary.value:
                of_tags[value.tag].append(event.step)
    return of_tags, of_events
