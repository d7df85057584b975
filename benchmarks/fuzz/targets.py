"""What is done with an input. What may be raised is `Refused`, no more."""

from __future__ import annotations

import json
import os
import pathlib
import traceback

from tensorboard.backend import application
from tensorboard.plugins import base_plugin
from werkzeug.test import Client

import gradscope
from gradscope import diagnosis, terminal
from gradscope.comparing import comparison_text
from gradscope.diagnosis import findings_text
from gradscope.format import schema
from gradscope_plugin import plugin

BASE = "/data/plugin/gradscope"

_OWN = (
    str(pathlib.Path(gradscope.__file__).parent),
    str(pathlib.Path(plugin.__file__).parent),
)


class Refused(Exception):
    """An input was refused with an error of gradscope's own."""


def _is_own(error) -> bool:
    """Return whether gradscope raised it itself, with a text."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return (
        last.filename.startswith(_OWN)
        and (last.line or "").startswith("raise ")
        and bool(str(error))
    )


def read(directory: str, uses: bool = True) -> None:
    """Read a run, and does with it all that can be done, unless not asked."""
    try:
        record = gradscope.read(directory)
    except (FileNotFoundError, ValueError) as error:
        if not _is_own(error):
            raise
        raise Refused from error
    if not uses:
        return
    for name in record.statistics:
        if name in schema.VARIABLE_COLUMNS:
            record.by_layer(name)
        if not any(name in cs for cs in schema.OCCASIONAL.values()):
            record[name]
    for family in schema.OCCASIONAL:
        record.occasional(family)
    found = record.first_nonfinite()
    if found:
        assert terminal.printable(found.message).isprintable()
    findings = diagnosis.diagnose(record)
    told = findings_text.text("run", findings)
    assert told.replace("\n", "").isprintable(), told
    findings_text.markdown(findings).encode()
    findings_text.to_json({"run": findings}, [])
    compared = gradscope.compare(record, record)
    told = comparison_text.text(compared)
    assert told.replace("\n", "").isprintable(), told
    comparison_text.to_json(compared)


def read_file(content: bytes, directory: str, uses: bool = True) -> None:
    """As `read`, of an event file with this content."""
    path = os.path.join(directory, "events.out.tfevents.1.fuzz")
    with open(path, "wb") as file:
        file.write(content)
    read(directory, uses)


def parse(text: str | bytes) -> None:
    """Parse a schema, and ask for all that is computed from it."""
    try:
        described = schema.Schema.from_json(text)
    except schema.SchemaError as error:
        raise Refused from error
    for family in {*described.columns, *schema.FAMILIES, *schema.OCCASIONAL}:
        described.rows(family)
    assert len(described.id) == 8
    assert schema.Schema.from_json(described.to_json()).id == described.id
    assert all(variable.size >= 0 for variable in described.variables)


def client_of(data_provider) -> Client:
    """Return a client of TensorBoard with gradscope as its only plugin."""
    context = base_plugin.TBContext(data_provider=data_provider)
    return Client(
        application.TensorBoardWSGI(
            [plugin.GradscopePlugin(context)], data_provider=data_provider
        )
    )


#: Of a reply: 16 MiB are asked for in parts, and an error is one line.
MOST_BYTES, MOST_ERROR = 16 * 2**20, 2000


def ask(client: Client, route: str, query: dict) -> int:
    """Ask a route, and return the status of the reply.

    An exception that TensorBoard does not catch is raised by the client: a
    server would log it and answer 500.
    """
    response = client.get(f"{BASE}/{route}", query_string=query)
    status, kind = response.status_code, response.content_type
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert len(response.data) <= MOST_BYTES
    if status == 200 and kind == "application/json":
        json.loads(response.data, parse_constant=_no_json)
    elif status not in (200, 202):
        assert status in (400, 404, 500), status
        assert kind == "text/plain; charset=utf-8"
        assert 0 < len(response.text) <= MOST_ERROR, response.text[:200]
    return status


def _no_json(constant):
    raise AssertionError(f"{constant} is no JSON")


def show(client: Client, run: str) -> None:
    """Ask all routes about a run, as the page does."""
    ask(client, "runs", {})
    ask(client, "runs", {"soon": 1})
    for rows, statistic in (
        ("layers", "gradient_norm"),
        ("kernels", "gradient_norm"),
        ("variables", "update_norm"),
        ("activations", "dead_fraction"),
        ("state", "dropout_rate"),
        ("data", "data_mean"),
        ("units", "unit_dead"),
    ):
        query = {"run": run, "rows": rows, "statistic": statistic}
        ask(client, "matrix", query)
        ask(client, "matrix", query | {"preview": 1})
    ask(client, "series", {"run": run, "rows": "layers", "only": "dense_1"})
    ask(client, "curves", {"run": run})
    ask(client, "layer", {"run": run, "layer": "dense_1"})
    ask(client, "findings", {"run": run})
    query = {"run": run, "variable": "dense_1/kernel", "kind": "gradients"}
    ask(client, "histograms", query)
