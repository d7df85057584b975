"""What tb-like converts of each run."""

import collections
import pathlib
import sys

from tblike import events

for directory in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    scalars, texts = collections.Counter(), set()
    for path, prefix, _ in events.discover_event_files(str(directory)):
        content = events.parse_file(path, prefix=prefix)
        scalars.update(content["tags"])
        texts.update(tag for tag, *_ in content["texts"])
    print(f"{directory.name}: {len(scalars)} scalars, {len(texts)} texts")
    for tag, count in scalars.items():
        if "gradscope/gradscope/" in tag:
            print(f"  {count} {tag}")
