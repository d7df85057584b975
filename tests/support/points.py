"""Points of a run, as they come from event files."""

import numpy as np
import runs

from gradscope.format import schema

NET = runs.network(2)


def points(steps, described=NET, start=0.0, level=1.0):
    """Returns the series of a run whose numbers are all `level`."""
    shape = (len(described.variables), len(runs.COLUMNS))
    series = [
        (step, start + index, np.full(shape, level, np.float32))
        for index, step in enumerate(steps)
    ]
    text = described.to_json().encode()
    return {
        schema.tag("variables", described.id): series,
        schema.tag("schema", described.id): [(steps[0], start, text)],
    }
