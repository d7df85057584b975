"""Writes the golden logs of this directory, as this version of gradscope does.

    python tests/data/write.py

`v1` is of format 1, `v2` of format 2. They are written once and stay: a later
gradscope must read them with the same numbers. When a format is added, add a
directory for it, and leave the older ones as they are. (The numbers are those
of `numbers` below, by arithmetic that is the same on every machine; only the
version of TensorFlow that framed them is not.)
"""

from __future__ import annotations

import os
import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent
STEPS = (0, 1, 2, 10)
WALL_TIME = 1.7e9


def numbers(family: int, step: int, rows: int, columns: int) -> np.ndarray:
    """Returns float32 `[rows, columns]`: every number another one, exactly;
    the first is NaN in step 1, and infinite in step 2."""
    found = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    found = found / 8 + 1000 * family + step
    if step == 1:
        found[0, 0] = np.nan
    if step == 2:
        found[0, 0] = np.inf
    return found.astype(np.float32)


def write(directory: pathlib.Path) -> None:
    """Writes a run with every family, and one that was resumed with another
    network."""
    from benchmarks.fuzz import seeds
    from gradscope.format import schema, stored_columns
    from gradscope.format.epoch_logs import Log
    from gradscope.recording import event_writer

    def part(run, network, steps, later):
        network = stored_columns.with_stored_columns(network)
        # The clock and the host would be in the name of the file.
        file = event_writer.EventWriter(str(directory / run / schema.DIRECTORY))
        for index, step in enumerate(steps):
            values = [
                event_writer.family_value(
                    family,
                    network.id,
                    stored_columns.pack(
                        network,
                        family,
                        numbers(
                            at, step, len(network.rows(family)), len(columns)
                        ),
                    ),
                )
                for at, (family, columns) in enumerate(network.columns.items())
                if network.rows(family)
                and (family in schema.FAMILIES or step in (1, 10))
            ]
            log = Log(step, index, {"loss": 1 / (1 + step)})
            values.append(event_writer.logs_value(network.id, log))
            if not index:
                values.append(event_writer.schema_value(network))
            file.write(step, WALL_TIME + later + step, values)
        file.close()

    part("whole", seeds.described(2), STEPS, 0)
    part("resumed", seeds.described(1), STEPS, 0)
    part("resumed", seeds.described(2), (2, 3), 100)
    for path in directory.rglob("*tfevents*"):
        *_, number = path.name.split(".")
        os.rename(path, path.with_name(f"events.out.tfevents.{number}"))


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parents[1]))
    write(HERE / "v2")
