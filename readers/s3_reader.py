"""A run in `s3://`, of a local server that speaks S3's protocol.

Writing, reading, `gradscope diagnose`, and TensorBoard with the tab Gradscope.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

os.chdir(tempfile.mkdtemp())
os.environ |= {
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "key",
    "AWS_DEFAULT_REGION": "us-east-1",
}

import boto3  # noqa: E402
import numpy as np  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402
from trained import fit  # noqa: E402

import gradscope  # noqa: E402

#: TensorBoard has S3 only where it does not find TensorFlow.
TENSORBOARD = """
import sys
sys.modules["tensorflow"] = None
from tensorboard.main import run_main
sys.argv = ["tensorboard", *sys.argv[1:]]
run_main()
"""


def get(url):
    """Get an answer of TensorBoard, once it has one."""
    for _ in range(60):
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(url) as reply:
                content = json.load(reply)
            if content:
                return content
        time.sleep(1)
    return []


server = ThreadedMotoServer(port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
os.environ["AWS_ENDPOINT_URL"] = f"http://{host}:{port}"
os.environ["S3_ENDPOINT"] = os.environ["AWS_ENDPOINT_URL"]  # TensorBoard's name
boto3.client("s3").create_bucket(Bucket="bucket")

url = "s3://bucket/logs/run"
fit("local")
fit(url)
remote, local = gradscope.read(url), gradscope.read("local")
same = remote.steps.tolist() == local.steps.tolist() and all(
    np.shape(remote.families[name]) == np.shape(values)
    for name, values in local.families.items()
)
print(f"read: {len(remote.steps)} steps, as many as of a local run: {same}")
again = f"{url}/again"
fit(again)
gradscope.flush()

for logdir in (url, "local"):
    done = subprocess.run(
        [sys.executable, "-m", "gradscope", "diagnose", logdir, "--json"],
        capture_output=True,
        text=True,
    )
    (run,) = json.loads(done.stdout)["runs"][:1]
    kinds = [finding["kind"] for finding in run["findings"]]
    print(f"diagnose {logdir}: {kinds}")

with socket.socket() as free:
    free.bind(("localhost", 0))
    port = free.getsockname()[1]
page = subprocess.Popen(
    [
        *(sys.executable, "-c", TENSORBOARD, "--port", str(port)),
        *("--logdir", "s3://bucket/logs"),
    ],
    stderr=subprocess.DEVNULL,
)
for run in get(f"http://localhost:{port}/data/plugin/gradscope/runs"):
    print(f"plugin: {run['name']}: {run['steps']} steps")
page.terminate()
server.stop()
