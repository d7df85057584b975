"""The plugin in TensorBoard's own application, on both data providers."""

import argparse
import struct
import time

import numpy as np
from tensorboard.backend import application
from tensorboard.backend.event_processing import data_ingester
from tensorboard.data import server_ingester
from tensorboard.plugins import base_plugin
from tensorboard.util import grpc_util
from werkzeug.test import Client

from gradscope_plugin import plugin
from gradscope_plugin.loader import SAMPLES

BASE = "/data/plugin/gradscope"


def python_provider(logdir, samples):
    """Returns the provider of `tensorboard --load_fast=false`."""
    flags = argparse.Namespace(
        logdir=str(logdir),
        logdir_spec="",
        samples_per_plugin={"gradscope": samples},
        purge_orphaned_data=True,
        max_reload_threads=1,
        reload_multifile=False,
        detect_file_replacement=False,
        reload_interval=0,
        reload_task="blocking",
    )
    ingester = data_ingester.LocalDataIngester(flags)
    ingester.start()
    return ingester.data_provider


def rust_provider(logdir, samples):
    """Returns the provider of `tensorboard`, where it has a data server."""
    ingester = server_ingester.SubprocessServerDataIngester(
        server_binary=server_ingester.get_server_binary(),
        logdir=str(logdir),
        reload_interval=0,
        channel_creds_type=grpc_util.ChannelCredsType.LOCAL,
        samples_per_plugin={"gradscope": samples},
    )
    ingester.start()
    return ingester.data_provider


PROVIDERS = {"python": python_provider, "rust": rust_provider}


def loaded(logdir, provider, samples=SAMPLES):
    """Returns a provider that has read all runs below `logdir`."""
    source = PROVIDERS[provider](logdir, samples)
    expected = len(list(logdir.glob("**/*tfevents*")))
    client = client_of(source)
    # The data server reads in the background; half-read runs must not be
    # compared. Two equal answers in a row, with all runs: it is done.
    previous = None
    for _ in range(100):
        listed = client.get(f"{BASE}/runs").get_json()
        if listed == previous and (listed or not expected):
            return source
        previous = listed
        time.sleep(0.1)
    raise AssertionError(f"{provider} has not read {logdir}: {listed}")


def client_of(source):
    """Returns a client of TensorBoard with gradscope as its only plugin."""
    context = base_plugin.TBContext(data_provider=source)
    return Client(
        application.TensorBoardWSGI(
            [plugin.GradscopePlugin(context)], data_provider=source
        )
    )


def get_matrix(client, run, statistic="gradient_norm", rows="variables"):
    """Returns `(steps, values [rows, columns])` of a run."""
    query = {"run": run, "statistic": statistic, "rows": rows}
    response = client.get(f"{BASE}/matrix", query_string=query)
    assert response.status_code == 200, response.text
    assert response.content_type == "application/octet-stream"
    head, steps, values = parse(response.data)
    assert head[:4] == (*values.shape, 0, len(steps))
    return steps, values


def parse(body):
    """Returns the head of a reply, its steps and its values."""
    head = struct.unpack("<6I", body[:24])
    height, width = head[:2]
    steps = np.frombuffer(body, "<f8", width, 24)
    values = np.frombuffer(body, "<f4", -1, 24 + 8 * width)
    return head, steps, values.reshape(height, width)


class CountingProvider:
    """Counts what is read; passes everything on."""

    def __init__(self, source):
        self._source = source
        self.read = []

    def list_tensors(self, *args, **kwargs):
        return self._source.list_tensors(*args, **kwargs)

    def read_tensors(self, *args, run_tag_filter, **kwargs):
        # A reply has at most 256 MiB; only what is small is asked for at once.
        families = {tag.split("/")[1] for tag in run_tag_filter.tags}
        assert families <= {"schema", "run"} or (
            len(run_tag_filter.runs) == len(run_tag_filter.tags) == 1
        )
        self.read += run_tag_filter.tags
        return self._source.read_tensors(
            *args, run_tag_filter=run_tag_filter, **kwargs
        )


def plugin_context():
    from tensorboard import context

    return context.RequestContext()
