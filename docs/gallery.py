"""Makes the pictures of the README's gallery from real runs:

    gradscope demo --no-serve --logdir logs
    python -m docs.gallery --logdir logs

It needs what the tests need (`pip install -e ".[test]"`, Chromium).
"""

import argparse
import json
import pathlib
import subprocess
import sys
import time
import urllib.parse
import urllib.request

from playwright.sync_api import sync_playwright

from tools import chromium

HERE = pathlib.Path(__file__).parent / "gallery"
PORT, WIDTH = 6417, 1240

#: By the name of the example: what is shown of it, and how high it is.
VIEWS = {
    "zero_initialisation": (
        {"statistic": "gradient_norm", "rows": "variables"},
        900,
    ),
    "dropout_rate": ({"statistic": "dropped_fraction"}, 700),
    "vanishing_middle_layer": (
        {"statistic": "gradient_rms", "rows": "kernels"},
        700,
    ),
    "restored_batch_norm": (
        {
            "statistic": "variance_distance",
            "domains": {"variance_distance": [0, 0.2]},
        },
        700,
    ),
    "virtual_batch_norm": (
        {
            "statistic": "gradient_norm",
            "pins": [
                "virtual_batch_norm/one_pass/gradscope",
                "virtual_batch_norm/wrong_half/gradscope",
            ],
            "comparing": True,
        },
        700,
    ),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logdir", default="logs")
    parser.add_argument("--only", nargs="+", choices=VIEWS, default=[*VIEWS])
    options = parser.parse_args()
    HERE.mkdir(exist_ok=True)
    for name in options.only:
        server = _served(pathlib.Path(options.logdir))
        try:
            view, height = VIEWS[name]
            pattern = f"^{name}/(broken|repaired)$"
            if "pins" in view:
                pattern = f"^{name}/(one_pass|two_passes|wrong_half)$"
            _draw(name, {"filter": pattern} | view, height)
        finally:
            server.terminate()
            server.wait()


def _served(logdir):
    """Starts TensorBoard, and returns once it has read the runs."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", logdir]
    command += ["--port", str(PORT), "--samples_per_plugin", "gradscope=0"]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    runs = f"http://localhost:{PORT}/data/plugin/gradscope/runs"
    before = None
    for _ in range(120):
        time.sleep(1)
        try:
            with urllib.request.urlopen(runs) as reply:
                found = json.load(reply)
        except OSError:
            continue
        if found and found == before:
            return server
        before = found
    server.terminate()
    raise TimeoutError(f"TensorBoard has not read {logdir} in two minutes")


def _draw(name, view, height):
    text = urllib.parse.quote(json.dumps(view))
    page_of = f"http://localhost:{PORT}/#gradscope&p.gradscope.view={text}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium.path(), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": height})
        page.goto(page_of)
        frame = page.frame_locator("iframe")
        frame.locator("canvas").first.wait_for(timeout=60_000)
        page.wait_for_timeout(8_000)  # findings come after the first picture
        page.locator("iframe").screenshot(path=HERE / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
