"""The list of plugins of a TensorBoard of its own."""

import json
import os
import re
import subprocess
import urllib.request


def tabs(tensorboard, logdir, environment=os.environ):
    """Starts a TensorBoard and returns its list of plugins."""
    server = subprocess.Popen(
        [tensorboard, "--logdir", logdir, "--port", "0", "--load_fast=false"],
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "PYTHONUNBUFFERED": "1"},
    )
    try:
        printed = (re.search(r"http://\S+", x) for x in server.stderr)
        address = next(found[0] for found in printed if found)
        with urllib.request.urlopen(address + "data/plugins_listing") as reply:
            return json.load(reply)
    finally:
        server.terminate()
        server.communicate()
