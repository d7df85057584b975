"""What tboardfs's index has of each run; the file system itself needs FUSE."""

import glob
import sys
import types

stub = types.ModuleType("mfusepy")
stub.FUSE = stub.Operations = object
stub.__getattr__ = lambda name: Exception
sys.modules["mfusepy"] = stub

from tboardfs.indexer import parse_file  # noqa: E402

for name, below in (
    ("keras", "train"),
    ("good", "gradscope"),
    ("tensorboardx", "."),
):
    (path,) = glob.glob(f"{sys.argv[1]}/{name}/{below}/*")
    index = parse_file(path)
    print(f"{name}: {len(index['scalars'])} scalars")
    print(f"{name}: {len(index['json_entries'])} entries")
