"""The plugin as TensorBoard sees it: routes that parse, read and respond.

`http_api.md` describes each route with an example.
"""

from __future__ import annotations

import functools
import gzip
import importlib.resources
import json
import math
import zlib
from collections.abc import Iterator

import numpy as np
from tensorboard import errors, plugin_util
from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from werkzeug import wrappers

from gradscope.format import schema
from gradscope_plugin.replies import (
    findings,
    histograms,
    later,
    layer_detail,
    matrix,
    query,
    series,
)
from gradscope_plugin.runs import record_parts, run_data, summary
from gradscope_plugin.runs.data_provider import UnreadableRun

# Windows takes these types from its registry, where they are often wrong;
# with `nosniff` the browser would then refuse the module.
_MIME_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
}


def _static_files() -> dict[str, tuple[bytes, str]]:
    """Reads the page's files: `{route: (content, mime type)}`.

    They are compressed once: TensorBoard would do it for each request. Another
    route lists the page's modules, which asks for all of them at once: one
    after the other, as they import each other, they would take round trips.
    """
    folder = importlib.resources.files("gradscope_plugin") / "static"
    files = dict(_files_below(folder, ""))
    modules = sorted(path for path in files if path.endswith(".js"))
    files["modules.json"] = json.dumps(modules).encode()
    return {
        f"/static/{path}": (gzip.compress(content, mtime=0), mime_type)
        for path, content in files.items()
        for suffix, mime_type in _MIME_TYPES.items()
        if path.endswith(suffix)
    }


def _files_below(folder, path: str) -> Iterator[tuple[str, bytes]]:
    for file in folder.iterdir():
        if file.is_dir():
            yield from _files_below(file, f"{path}{file.name}/")
        else:
            yield f"{path}{file.name}", file.read_bytes()


# A list of runs is sent after so long, in s, with what is known by then.
_LISTING = 0.05

# Read once: nothing that a client sends ever becomes a path.
_STATIC_FILES = _static_files()


class MethodNotAllowed(errors.PublicError):
    """A request that is not a read; nothing here can be written."""

    http_code = 405

    def __init__(self, method: str):
        super().__init__(f"Method not allowed: {method}. Use GET.")
        self.headers.append(("Allow", "GET, HEAD"))


def _route(serve):
    """Turns `serve(request) -> Response` into a read-only WSGI application."""

    @functools.wraps(serve)
    def read_only(request):
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(request.method)
        try:
            return serve(request)
        except later.NotYet:
            return _respond("not yet: ask again", "text/plain", request, 202)

    return wrappers.Request.application(read_only)


class GradscopePlugin(base_plugin.TBPlugin):
    """Heatmaps of every layer's gradients, weights and updates.

    Args:
        context: TensorBoard's `TBContext`; its data provider is used.
    """

    plugin_name = schema.PLUGIN_NAME

    def __init__(self, context):
        hints = context.sampling_hints or {}
        self._runs = run_data.Runs(
            context.data_provider, hints.get(self.plugin_name, 0)
        )
        self._histogram_samples = hints.get("histograms")
        self._findings = findings.Findings(self._runs)
        self._previewing = later.Soon("gradscope-previewing")
        self._reading = later.Soon("gradscope-reading")
        self._diagnosing = later.Soon("gradscope-diagnosing")
        self._provider = context.data_provider

    def get_plugin_apps(self):
        """Returns all routes, below `/data/plugin/gradscope`."""
        routes = {
            "/runs": self._serve_runs,
            "/matrix": self._serve_matrix,
            "/series": self._serve_series,
            "/layer": self._serve_layer,
            "/histograms": self._serve_histograms,
            "/findings": self._serve_findings,
        }
        for route, (content, mime_type) in _STATIC_FILES.items():
            routes[route] = functools.partial(
                _respond, content, mime_type, content_encoding="gzip"
            )
        return {path: _route(serve) for path, serve in routes.items()}

    def is_active(self):
        """Returns False: TensorBoard looks for `data_plugin_names` first."""
        return False

    def data_plugin_names(self):
        """Returns the plugin name in our tags' metadata."""
        return [schema.PLUGIN_NAME]

    def frontend_metadata(self):
        """Returns where TensorBoard finds the page."""
        return base_plugin.FrontendMetadata(
            es_module_path="/static/index.js", tab_name="Gradscope"
        )

    def _serve_runs(self, request):
        if "soon" in request.args:
            listed = self._runs.listed(*_context(request), within=_LISTING)
            text = summary.brief(listed)
        else:
            text = json.dumps(self._runs.summaries(*_context(request)))
        # A page asks every few seconds. (HTTP's own way, a reply 304, has no
        # content type, which TensorBoard 3 will refuse.)
        mark = f"{zlib.crc32(text.encode()):08x}"
        if request.args.get("known") == mark:
            text = "null"
        response = _respond(text, "application/json", request)
        response.headers["X-Gradscope-Mark"] = mark
        return response

    def _serve_matrix(self, request):
        return self._numbers(request, self._matrix)

    def _matrix(self, request) -> bytes:
        run = query.text(request, "run")
        statistic = query.text(request, "statistic")
        rows = query.text(request, "rows", matrix.ROWS)
        family, _ = matrix.ROWS[rows]
        read = self._runs.record
        if "preview" in request.args and family not in schema.OCCASIONAL:
            read = self._runs.preview
        record = self._record(request, run, family, read)
        known = record.schema.columns.get(family, ())
        query.check("statistic", statistic, known)
        return _matrix(
            request, record, family, lambda r: matrix.select(r, rows, statistic)
        )

    def _serve_series(self, request):
        return self._numbers(request, self._series)

    def _series(self, request) -> bytes:
        run = query.text(request, "run")
        rows = query.text(request, "rows", series.ROWS)
        name = query.text(request, "only")
        family, _ = matrix.ROWS[rows]
        record = self._record(request, run, family)
        query.check_row("only", name, record, rows)
        return _matrix(
            request,
            record,
            family,
            lambda r: series.select(r, rows),
            len(record.schema.columns[family]),
        )

    def _numbers(self, request, make):
        """Answers with the bytes of `make(request)`; with `soon`, where the
        record must be read for it, they are made beside."""
        run, rows = (request.args.get(n, "") for n in ("run", "rows"))
        family, _ = matrix.ROWS.get(rows, ("", None))
        where = _context(request)
        if "soon" not in request.args or self._runs.known(*where, run, family):
            body = make(request)
        else:
            # A preview does not wait for what takes ten times as long.
            preview = "preview" in request.args
            beside = self._previewing if preview else self._reading
            body = beside.get(request.full_path, lambda: make(request))
        return _respond(body, "application/octet-stream", request)

    def _serve_layer(self, request):
        run = query.text(request, "run")
        layer = query.text(request, "layer")
        record = self._record(request, run, "units", self._runs.described)
        if layer not in layer_detail.names(record):
            raise query.no_layer("layer", layer, run)
        variables = [
            v.name for v in record.schema.variables if v.layer == layer
        ]
        kinds = histograms.kinds_of(
            self._provider,
            *_context(request),
            run,
            variables[: layer_detail.MOST],
        )
        told = _without_nan(layer_detail.describe(record, layer, kinds))
        return _respond(json.dumps(told), "application/json", request)

    def _serve_histograms(self, request):
        run = query.text(request, "run")
        variable = query.text(request, "variable")
        kind = query.text(request, "kind", histograms.KINDS)
        steps, counts = histograms.read(
            self._provider,
            *_context(request),
            run,
            histograms.tag(kind, variable),
        )
        if not len(steps):
            raise errors.NotFoundError(
                f"no histograms of {kind} of {query.shown(variable)} were "
                f"recorded in {query.shown(run)}; `layer` lists those that "
                "were. Their steps and layers are chosen with "
                "`gradscope.wrap(..., histograms=, include=)`."
            )
        written = histograms.written(
            self._provider,
            *_context(request),
            run,
            variable,
            len(steps),
            self._histogram_samples,
        )
        body = matrix.encode(steps, counts, written=written)
        return _respond(body, "application/octet-stream", request)

    def _record(self, request, run, family, read=None):
        """Returns a record, or answers why there is none."""
        read = read or self._runs.record
        try:
            record = read(*_context(request), run, family)
        except UnreadableRun as error:
            raise errors.PublicError(f"{run}: {error}") from error
        if record is None:
            raise query.no_run(run)
        return record

    def _serve_findings(self, request):
        run = query.text(request, "run")
        ctx, experiment_id = _context(request)
        if "soon" in request.args:
            text = self._diagnosing.get(
                (experiment_id, run),
                lambda: self._findings.text(ctx, experiment_id, run),
            )
        else:
            text = self._findings.text(ctx, experiment_id, run)
        if text is None:
            raise query.no_run(run)
        return _respond(text, "application/json", request)


def _matrix(request, record, family, select, height=None) -> bytes:
    """Returns the bytes of what `select` finds in the record, of the steps and
    the layer that were asked for: so many numbers a step, one a row by
    default."""
    name = request.args.get("only")
    if name is not None:
        record = record_parts.only(record, name)
        if not record.schema.rows(family):
            raise query.no_layer("only", name, record.run)
    steps = record_parts.steps_of(record, family)
    after = query.number(request, "after", -1)
    if record_parts.mark(record, after) != query.number(request, "mark", -1):
        # Something before has changed, so the page has to read all again.
        after = -1
    start = int(np.searchsorted(steps, after, side="right"))
    try:
        count = matrix.fitting(height or len(record.schema.rows(family)))
        last = steps[min(start + count, len(steps)) - 1] if len(steps) else -1
        found = select(record_parts.between(record, after + 1, last))
        return matrix.encode(
            *found,
            start=start,
            total=len(steps),
            mark=record_parts.mark(record, last),
        )
    except (KeyError, matrix.TooLarge) as error:
        # KeyError: a file with half of the statistics, or newer ones.
        raise errors.InvalidArgumentError(error.args[0][:1000]) from error


def _without_nan(value):
    """Returns a value with texts where JSON has no number: a configuration may
    have a limit that is infinite."""
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    return value


def _respond(content, mime_type, request, code=200, **more):
    return http_util.Respond(request, content, mime_type, code=code, **more)


def _context(request):
    return (
        plugin_util.context(request.environ),
        plugin_util.experiment_id(request.environ),
    )
