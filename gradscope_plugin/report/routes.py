"""Asks the plugin's routes all that the page may ask of one run.

A route that is added to the plugin joins with one entry in `ROUTES`. The page
derives the answers of `/series` and those for `rows=kernels` from those of
`/matrix`, as `static/reporting/derived.js` does, so that no number is in a
report twice.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
from tensorboard import errors
from tensorboard.plugins import base_plugin
from werkzeug.test import Client

from gradscope.format.columns import STATISTICS
from gradscope_plugin import plugin
from gradscope_plugin.report.file_provider import FileProvider

Query = dict[str, str]

#: Parts that a report may lack, the first to be left out first.
OPTIONAL = ("histograms", "variables", "units")

#: Steps of the curves of losses and rates that are spread evenly, in a report
#: that is thinned out: twice as many as a screen has pixels for them.
CURVE_STEPS = 2000

# Statistics without a picture that the page uses to explain those that have
# one.
_EXPLAINING = ("gradient_missing", "unit_dead", "unit_last_fired")


class Refused(Exception):
    """A route replied with an error; its text is for the user."""


class RouteClient:
    """The routes of the plugin, which answer from the files of one run.

    Args:
        files: Reads the run's files.
    """

    def __init__(self, files: FileProvider):
        context = base_plugin.TBContext(data_provider=files)
        apps = plugin.GradscopePlugin(context).get_plugin_apps()
        self._clients = {
            path[1:]: Client(app)
            for path, app in apps.items()
            if not path.startswith("/static/")
        }

    def bytes_of(self, path: str, query: Query) -> bytes:
        """Ask a route; return the body of its reply.

        Raises:
            Refused: If the route replies with an error.
        """
        try:
            return self._clients[path].get(query_string=query).data
        except errors.PublicError as error:
            # TensorBoard's application makes a reply of it.
            raise Refused(str(error)) from error

    def json_of(self, path: str, query: Query) -> dict:
        """Ask a route that replies with JSON."""
        return json.loads(self.bytes_of(path, query))

    def matrix_of(self, path: str, query: Query) -> Matrix:
        """Ask a route that replies with a matrix, part by part."""
        parts = [Matrix.parse(self.bytes_of(path, query))]
        # A route limits the bytes of a reply, see `matrix.MAX_BYTES`.
        while parts[-1].start + len(parts[-1].steps) < parts[-1].total:
            last = parts[-1]
            more = {"after": str(int(last.steps[-1])), "mark": str(last.mark)}
            parts.append(Matrix.parse(self.bytes_of(path, {**query, **more})))
        return dataclasses.replace(
            parts[0],
            steps=np.concatenate([part.steps for part in parts]),
            values=np.concatenate([part.values for part in parts], axis=1),
        )


@dataclasses.dataclass(frozen=True)
class Matrix:
    """A reply of `/matrix`, `/series` or `/histograms`, see `http_api.md`.

    Attributes:
        steps: float64 [columns].
        values: float32 [rows, columns].
        start, total, mark, written: As in the reply's head.
    """

    steps: np.ndarray
    values: np.ndarray
    start: int = 0
    total: int = 0
    mark: int = 0
    written: int = 0

    @classmethod
    def parse(cls, body: bytes) -> Matrix:
        """Parse a reply."""
        rows, columns, *head = np.frombuffer(body, "<u4", 6).tolist()
        steps = np.frombuffer(body, "<f8", columns, 24)
        values = np.frombuffer(body, "<f4", -1, 24 + 8 * columns)
        return cls(steps, values.reshape(rows, columns), *head)

    def select(self, columns: np.ndarray) -> Matrix:
        """Select some columns; all of them were written."""
        return dataclasses.replace(
            self,
            steps=self.steps[columns],
            values=self.values[:, columns],
            written=max(self.written, len(self.steps)),
        )


@dataclasses.dataclass(frozen=True)
class Route:
    """A route that a report answers.

    Attributes:
        path: Its path in the plugin, without the slash.
        queries: Lists the queries of the page for a run, as `/runs` describes
            it; `client` asks routes, for queries that depend on replies.
        part: The part of the report that the replies are, one of `OPTIONAL`,
            or empty for a part of each report.
        is_json: Whether it replies with JSON, or else with a matrix.
        thin: Thins out a reply of JSON in a report that is thinned out, given
            the steps that stay. Matrices are thinned out in any case.
    """

    path: str
    queries: Callable[[Mapping, RouteClient], Iterable[Query]]
    part: str = ""
    is_json: bool = False
    thin: Callable[[bytes, np.ndarray], bytes] | None = None


def _of_run(run: Mapping, client: RouteClient) -> Iterator[Query]:
    yield {}


def _layers(run: Mapping, client: RouteClient) -> Iterator[Query]:
    states = (state["layer"] for state in run["states"])
    activations = (a["name"].rpartition("/")[0] for a in run["activations"])
    for layer in dict.fromkeys((*run["layers"], *activations, *states)):
        if layer:
            yield {"layer": layer}


def _matrices(*rows: str) -> Callable[[Mapping, RouteClient], Iterator[Query]]:
    def queries(run: Mapping, client: RouteClient) -> Iterator[Query]:
        for kind in rows:
            for statistic in run[_STATISTICS_OF[kind]]:
                if is_shown(statistic):
                    yield {"statistic": statistic, "rows": kind}

    return queries


#: Where `/runs` lists the statistics of each kind of rows.
_STATISTICS_OF = {
    "layers": "statistics",
    "variables": "statistics",
    "activations": "activation_statistics",
    "state": "state_statistics",
    "data": "data_statistics",
    "units": "unit_statistics",
}


def is_shown(name: str) -> bool:
    """Test whether the page asks for a statistic; later ones it does."""
    return (
        name not in STATISTICS
        or STATISTICS[name].drawing is not None
        or name in _EXPLAINING
    )


def _histograms(run: Mapping, client: RouteClient) -> Iterator[Query]:
    for query in _layers(run, client):
        layer = client.json_of("layer", {"run": run["name"], **query})
        for variable in layer["variables"]:
            for kind in variable["histograms"]:
                yield {"variable": variable["name"], "kind": kind}


def _thin_curves(text: bytes, steps: np.ndarray) -> bytes:
    """Thin out the curves of `/curves` to the steps that stay, and others."""
    reply = json.loads(text)
    all_steps = np.array(reply["steps"])
    stays = np.isin(all_steps, steps)
    spread = np.linspace(0, len(stays) - 1, CURVE_STEPS).round().astype(int)
    if len(stays) <= CURVE_STEPS:
        return text
    stays[spread] = True
    indices = np.flatnonzero(stays).tolist()
    reply["steps"] = [reply["steps"][index] for index in indices]
    reply["curves"] = {
        name: [numbers[index] for index in indices]
        for name, numbers in reply["curves"].items()
    }
    return json.dumps({**reply, "total": len(indices)}).encode()


#: What a report answers. The run is added to each query.
ROUTES = (
    Route("findings", _of_run, is_json=True),
    Route("curves", _of_run, is_json=True, thin=_thin_curves),
    Route("layer", _layers, is_json=True),
    Route("matrix", _matrices("layers", "activations", "state", "data")),
    Route("matrix", _matrices("variables"), part="variables"),
    Route("matrix", _matrices("units"), part="units"),
    Route("histograms", _histograms, part="histograms"),
)


def key_of(path: str, query: Query) -> str:
    """Return the name of a reply in a report; as `keyOf` of the page."""
    return "\n".join([path, *(f"{k}={v}" for k, v in sorted(query.items()))])
