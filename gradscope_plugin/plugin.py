"""The routes of the plugin, which parse a request, read a run and respond.

`http_api.md` describes each route with an example.
"""

from __future__ import annotations

import functools
import gzip
import json
import math
import pathlib
import re
import zlib
from collections.abc import Callable
from urllib.parse import quote

import numpy as np
from tensorboard import errors, plugin_util
from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from werkzeug import wrappers

from gradscope.format import schema
from gradscope_plugin import bundle
from gradscope_plugin.replies import (
    answer_queue,
    curves,
    findings,
    histograms,
    layer_detail,
    matrix,
    query,
    series,
    statistics,
)
from gradscope_plugin.runs import record_parts, run_data, summary
from gradscope_plugin.runs.data_provider import UnreadableRun

#: The module that TensorBoard imports, and the one that it imports then, in
#: which all others are.
_ENTRY = "index.js"
_BUNDLE = "page/start.js"

# Windows takes these types from its registry, where they are often wrong;
# with `nosniff` the browser would then refuse the module.
_MIME_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
}


def _static_files() -> dict[str, tuple[bytes, str]]:
    """Make the page's files: `{route: (content, mime type)}`.

    They are compressed here once, since TensorBoard would compress them for
    each request. The file `statistics.json` has the declarations of the
    statistics.
    """
    page = bundle.page_files()
    files = {
        _ENTRY: page[_ENTRY],
        _BUNDLE: bundle.bundle(page, _BUNDLE),
        "style.css": page["style.css"],
        "statistics.json": statistics.to_json(),
    }
    return {
        # Without a time, so that the same files are the same bytes after each
        # start.
        f"/static/{path}": (
            gzip.compress(text.encode(), mtime=0),
            _MIME_TYPES[pathlib.PurePath(path).suffix],
        )
        for path, text in files.items()
    }


# Seconds after which a list of runs is sent, complete or not.
_LISTING_SECONDS = 0.05

# All files are read here, so nothing that a client sends becomes a path.
_STATIC_FILES = _static_files()


class MethodNotAllowed(errors.PublicError):
    """A request with a method other than GET and HEAD."""

    http_code = 405

    def __init__(self, method: str):
        super().__init__(f"Method not allowed: {method}. Use GET.")
        self.headers.append(("Allow", "GET, HEAD"))


def _route(serve):
    """Turn `serve(request) -> Response` into a read-only WSGI application."""

    @functools.wraps(serve)
    def read_only(request):
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(request.method)
        try:
            return serve(request)
        except answer_queue.NotYet:
            return _respond("not yet: ask again", "text/plain", request, 202)

    return wrappers.Request.application(read_only)


class GradscopePlugin(base_plugin.TBPlugin):
    """Heatmaps of every layer's gradients, weights and updates.

    Args:
        context: TensorBoard's `TBContext`; its data provider is used.
    """

    plugin_name = schema.PLUGIN_NAME

    def __init__(self, context: base_plugin.TBContext):
        hints = context.sampling_hints or {}
        self._runs = run_data.Runs(
            context.data_provider, hints.get(self.plugin_name, 0)
        )
        self._histogram_samples = hints.get("histograms")
        self._findings = findings.Findings(self._runs)
        self._preview_queue = answer_queue.AnswerQueue("gradscope-previewing")
        self._record_queue = answer_queue.AnswerQueue("gradscope-reading")
        self._findings_queue = answer_queue.AnswerQueue("gradscope-diagnosing")
        self._provider = context.data_provider
        self._directory_name = _directory_name(context.logdir or "")

    def get_plugin_apps(self) -> dict[str, Callable]:
        """Return the WSGI application of each route."""
        routes = {
            "/runs": self._serve_runs,
            "/matrix": self._serve_matrix,
            "/series": self._serve_series,
            "/curves": self._serve_curves,
            "/layer": self._serve_layer,
            "/histograms": self._serve_histograms,
            "/findings": self._serve_findings,
        }
        for route, (content, mime_type) in _STATIC_FILES.items():
            routes[route] = functools.partial(
                _respond, content, mime_type, content_encoding="gzip"
            )
        return {path: _route(serve) for path, serve in routes.items()}

    def is_active(self) -> bool:
        """Return False: TensorBoard looks for `data_plugin_names` first."""
        return False

    def data_plugin_names(self) -> list[str]:
        """Return the plugin's name in the metadata of gradscope's tags."""
        return [schema.PLUGIN_NAME]

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        """Return the route of the page, and the name of the tab."""
        return base_plugin.FrontendMetadata(
            es_module_path=f"/static/{_ENTRY}", tab_name="Gradscope"
        )

    def _serve_runs(self, request):
        if "soon" in request.args:
            runs = self._runs.list_runs(
                *_context(request), within=_LISTING_SECONDS
            )
            text = summary.to_json(runs)
        else:
            text = json.dumps(self._runs.summaries(*_context(request)))
        # The page asks every few seconds, and needs no reply that it has. (The
        # status 304 would have no content type, which TensorBoard 3 refuses.)
        mark = f"{zlib.crc32(text.encode()):08x}"
        if request.args.get("known") == mark:
            text = "null"
        response = _respond(text, "application/json", request)
        response.headers["X-Gradscope-Mark"] = mark
        response.headers["X-Gradscope-Directory"] = self._directory_name
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
        columns = record.schema.columns.get(family, ())
        query.check("statistic", statistic, columns)
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

    def _serve_curves(self, request):
        run = query.text(request, "run")
        try:
            record = self._runs.curves(*_context(request), run)
        except UnreadableRun as error:
            raise errors.PublicError(f"{run}: {error}") from error
        if record is None:
            raise query.run_not_found(run)
        described = curves.describe(
            record,
            query.number(request, "after", -1),
            query.number(request, "mark", -1),
        )
        text = json.dumps(_without_nan(described))
        return _respond(text, "application/json", request)

    def _numbers(self, request, make):
        """Respond with the bytes of `make(request)`.

        With `soon` in the query they are made in a queue where the record is
        not in the cache.
        """
        run, rows = (request.args.get(n, "") for n in ("run", "rows"))
        family, _ = matrix.ROWS.get(rows, ("", None))
        context = _context(request)
        if "soon" not in request.args or self._runs.cached_record(
            *context, run, family
        ):
            body = make(request)
        else:
            # Previews have a queue, so as not to wait for whole records.
            is_preview = "preview" in request.args
            queue = self._preview_queue if is_preview else self._record_queue
            body = queue.get(request.full_path, lambda: make(request))
        return _respond(body, "application/octet-stream", request)

    def _serve_layer(self, request):
        run = query.text(request, "run")
        layer = query.text(request, "layer")
        record = self._record(request, run, "units", self._runs.small_record)
        if layer not in layer_detail.names(record):
            raise query.layer_not_found("layer", layer, run)
        variables = [
            v.name for v in record.schema.variables if v.layer == layer
        ]
        kinds = histograms.recorded_kinds(
            self._provider,
            *_context(request),
            run,
            variables[: layer_detail.MOST],
        )
        description = layer_detail.describe(record, layer, kinds)
        text = json.dumps(_without_nan(description))
        return _respond(text, "application/json", request)

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
                f"no histograms of {kind} of {query.quote(variable)} were "
                f"recorded in {query.quote(run)}. `layer` lists the recorded "
                "ones. Choose their steps and layers with `gradscope.wrap(..., "
                "histograms=, include=)`."
            )
        written = histograms.count_recorded(
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
        """Read a record, or raise an error that says why it cannot."""
        read = read or self._runs.record
        try:
            record = read(*_context(request), run, family)
        except UnreadableRun as error:
            raise errors.PublicError(f"{run}: {error}") from error
        if record is None:
            raise query.run_not_found(run)
        return record

    def _serve_findings(self, request):
        run = query.text(request, "run")
        ctx, experiment_id = _context(request)
        if "soon" in request.args:
            text = self._findings_queue.get(
                (experiment_id, run),
                lambda: self._findings.text(ctx, experiment_id, run),
            )
        else:
            text = self._findings.text(ctx, experiment_id, run)
        if text is None:
            raise query.run_not_found(run)
        return _respond(text, "application/json", request)


def _matrix(request, record, family, select, height=None) -> bytes:
    """Encode a part of a record: the requested steps, and one layer or all.

    Args:
        request: Has the parameters `only`, `after` and `mark`.
        record: The record.
        family: The family of the values.
        select: Selects steps and values from a record.
        height: Number of values in a step; one for each row by default.
    """
    name = request.args.get("only")
    if name is not None:
        record = record_parts.select_rows(record, name)
        if not record.schema.rows(family):
            raise query.layer_not_found("only", name, record.run)
    steps = record_parts.steps_of(record, family)
    after = query.number(request, "after", -1)
    if record_parts.mark(record, after) != query.number(request, "mark", -1):
        # Steps that the page has were changed, so it gets all again.
        after = -1
    start = int(np.searchsorted(steps, after, side="right"))
    try:
        count = matrix.columns_per_reply(
            height or len(record.schema.rows(family))
        )
        last = steps[min(start + count, len(steps)) - 1] if len(steps) else -1
        shown = record_parts.select_steps(record, after + 1, last)
        return matrix.encode(
            *select(shown),
            start=start,
            total=len(steps),
            mark=record_parts.mark(record, last),
        )
    except (KeyError, matrix.TooLarge) as error:
        # KeyError: a truncated file, or one of a newer version.
        # The text of a KeyError lists the names of a file's columns, as many
        # and as long as they are.
        raise errors.InvalidArgumentError(error.args[0][:1000]) from error


def _directory_name(logdir: str) -> str:
    """The name of the log directory, quoted for a header.

    It is the name of a run that TensorBoard calls `.` or `gradscope`.
    """
    path = logdir if "://" in logdir else str(pathlib.Path(logdir).absolute())
    path = path.rstrip("/").removesuffix(f"/{schema.DIRECTORY}")
    return quote(re.split(r"[/\\]", path)[-1]) if logdir else ""


def _without_nan(value):
    """Replace NaN and infinities, which JSON lacks, by texts.

    The configuration of a layer may have an infinite limit.
    """
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
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
