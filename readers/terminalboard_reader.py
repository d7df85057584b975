"""What terminalboard reads of each run."""

import collections
import glob
import sys

from terminalboard import reader_light
from terminalboard.model import Run

for name, below in (
    ("keras", "train"),
    ("good", "gradscope"),
    ("tensorboardx", "."),
):
    directory = f"{sys.argv[1]}/{name}/{below}"
    run = Run(name, directory)
    reader_light.collect_run(run, glob.glob(f"{directory}/*"), {})
    kinds = collections.Counter(s.kind for s in run.series.values())
    print(
        f"{name}: {kinds['histogram']} histograms, {kinds['scalar']} scalars, "
        f"{kinds['text']} text"
    )
    for tag, series in run.series.items():
        if tag.startswith("gradscope/"):
            print(f"  {len(series.steps)} {tag}, as {series.kind}")
