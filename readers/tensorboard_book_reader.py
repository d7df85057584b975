"""What tensorboard-book's index has of each run."""

import contextlib
import json
import pathlib
import sys
import tempfile

from tensorboard_book import db, scanner

root = pathlib.Path(sys.argv[1])
database = pathlib.Path(tempfile.mkdtemp(), "tbook.db")
with contextlib.closing(db.connect(database)) as connection:
    scanner.scan(connection, root)
    for run in connection.execute("SELECT * FROM runs ORDER BY path"):
        counts = connection.execute(
            "SELECT tag, n FROM metrics WHERE run_id = ?", (run["id"],)
        ).fetchall()
        print(
            f"{run['path']}: {len(counts)} scalars, "
            f"{len(json.loads(run['texts']))} texts, "
            f"others {run['other_tags']}, error {run['parse_error']}"
        )
        for tag, count in counts:
            if tag.endswith("gradscope/gradient_norm"):
                print(f"  {count} {tag}")
