#!/usr/bin/env bash
# tensorboard 2.21.0 with tensorboard-data-server 0.7.2
#
# A point whose step is before that of the last one makes TensorBoard's default
# loader, the data server, forget all points of the tag from that step on,
# without a word. The other loader (`--load_fast=false`) keeps all, so the same
# file has other charts. A point of the same step as the last one replaces it in
# the first, and stands beside it in the second. So a thread that is a step late
# wipes out what the others wrote.
#
# Seen: of steps 0 10 20 30 40 5 the default loader shows 0 5, the other one all
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorboard==2.21.0 \
    tensorboard-data-server==0.7.2 'setuptools<81'
"$folder/venv/bin/python" - "$folder/logs" <<'PY'
import argparse
import sys
import time

from tensorboard.backend.event_processing import data_ingester
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.context import RequestContext
from tensorboard.data import server_ingester
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util import grpc_util

STEPS = {"late": [0, 10, 20, 30, 40, 5], "equal": [0, 10, 10]}
logdir = sys.argv[1]
writer = EventFileWriter(logdir)
for tag, steps in STEPS.items():
    for step in steps:
        value = summary_pb2.Summary.Value(tag=tag, simple_value=float(step))
        summary = summary_pb2.Summary(value=[value])
        writer.add_event(event_pb2.Event(step=step, summary=summary))
writer.close()


def shown(ingester):
    """List the steps of each tag that a loader has."""
    ingester.start()
    for _ in range(100):
        runs = ingester.data_provider.read_scalars(
            RequestContext(),
            experiment_id="",
            plugin_name="scalars",
            downsample=1000,
        )
        if len(runs.get(".", ())) == len(STEPS):
            break
        time.sleep(0.1)
    return {
        tag: [point.step for point in points]
        for tag, points in runs["."].items()
    }


default = shown(
    server_ingester.SubprocessServerDataIngester(
        server_binary=server_ingester.get_server_binary(),
        logdir=logdir,
        reload_interval=0,
        channel_creds_type=grpc_util.ChannelCredsType.LOCAL,
    )
)
other = shown(
    data_ingester.LocalDataIngester(
        argparse.Namespace(
            logdir=logdir,
            logdir_spec="",
            samples_per_plugin={},
            purge_orphaned_data=True,
            max_reload_threads=1,
            reload_multifile=False,
            detect_file_replacement=False,
            reload_interval=0,
            reload_task="blocking",
        )
    )
)
for tag, steps in STEPS.items():
    print(f"{steps}: default loader {default[tag]}, the other {other[tag]}")
assert default == {"late": [0, 5], "equal": [0, 10]}
assert other == STEPS
PY
