"""The plugin as TensorBoard sees it: routes that parse, read and respond.

`http_api.md` describes each route with an example.
"""

from __future__ import annotations

import functools
import importlib.resources
import json

from tensorboard import errors, plugin_util
from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from werkzeug import wrappers

from gradscope import schema
from gradscope_plugin import data, findings, matrix

# Windows takes these types from its registry, where they are often wrong;
# with `nosniff` the browser would then refuse the module.
_MIME_TYPES = {".js": "text/javascript", ".css": "text/css"}


def _static_files() -> dict[str, tuple[bytes, str]]:
    """Returns `{route: (content, mime type)}` of the page's files."""
    folder = importlib.resources.files("gradscope_plugin") / "static"
    return {
        f"/static/{file.name}": (file.read_bytes(), mime_type)
        for file in folder.iterdir()
        for suffix, mime_type in _MIME_TYPES.items()
        if file.name.endswith(suffix)
    }


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
        return serve(request)

    return wrappers.Request.application(read_only)


class GradscopePlugin(base_plugin.TBPlugin):
    """Heatmaps of every layer's gradients, weights and updates.

    Args:
        context: TensorBoard's `TBContext`; its data provider is used.
    """

    plugin_name = schema.PLUGIN_NAME

    def __init__(self, context):
        self._runs = data.Runs(context.data_provider)
        self._findings = findings.Findings(self._runs)

    def get_plugin_apps(self):
        """Returns all routes, below `/data/plugin/gradscope`."""
        routes = {
            "/runs": self._serve_runs,
            "/matrix": self._serve_matrix,
            "/findings": self._serve_findings,
        }
        for route, (content, mime_type) in _STATIC_FILES.items():
            routes[route] = functools.partial(_respond, content, mime_type)
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
        runs = self._runs.summaries(*_context(request))
        return _respond(json.dumps(runs), "application/json", request)

    def _serve_matrix(self, request):
        run = _argument(request, "run")
        statistic = _argument(request, "statistic")
        rows = _argument(request, "rows", matrix.ROWS)
        family, _ = matrix.ROWS[rows]
        try:
            record = self._runs.record(*_context(request), run, family)
        except data.UnreadableRun as error:
            raise errors.PublicError(f"{run}: {error}") from error
        if record is None:
            raise _no_run(run)
        known = record.schema.columns.get(family, ())
        _check("statistic", statistic, known)
        try:
            body = matrix.encode(*matrix.select(record, rows, statistic))
        except (KeyError, matrix.TooLarge) as error:
            # KeyError: a file with half of the statistics, or newer ones.
            raise errors.InvalidArgumentError(error.args[0]) from error
        return _respond(body, "application/octet-stream", request)

    def _serve_findings(self, request):
        run = _argument(request, "run")
        text = self._findings.text(*_context(request), run)
        if text is None:
            raise _no_run(run)
        return _respond(text, "application/json", request)


def _no_run(run):
    return errors.NotFoundError(
        f"no run {run!r} was recorded; `runs` lists all."
    )


def _respond(content, mime_type, request):
    return http_util.Respond(request, content, mime_type)


def _context(request):
    return (
        plugin_util.context(request.environ),
        plugin_util.experiment_id(request.environ),
    )


def _argument(request, name, choices=None):
    """Returns a query parameter, which may be limited to some choices."""
    value = request.args.get(name)
    if value is None:
        raise errors.InvalidArgumentError(
            f"`{name}` is missing: add `{name}=...` to the query."
        )
    if choices is not None:
        _check(name, value, choices)
    return value


def _check(name, value, choices):
    if value not in choices:
        raise errors.InvalidArgumentError(
            f"`{name}` must be one of {', '.join(choices)}; got {value!r}."
        )
