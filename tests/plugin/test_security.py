"""The plugin lets nobody in, and what is in a log is never run."""

import ast
import configparser
import dataclasses
import pathlib
import re
from importlib import metadata

import pytest
from packaging import requirements
from tensorboard import context

import gradscope
import gradscope_plugin
from benchmarks.fuzz import seeds, targets
from benchmarks.fuzz.provider import Memory
from gradscope_plugin import plugin
from gradscope_plugin.replies import answer_queue, findings, matrix
from gradscope_plugin.runs import run_data

BASE = targets.BASE
RUN = "run"

#: Of every route a query that is answered with 200.
QUERIES = {
    "/runs": {},
    "/matrix": {"run": RUN, "rows": "layers", "statistic": "gradient_norm"},
    "/series": {"run": RUN, "rows": "layers", "only": "dense_1"},
    "/curves": {"run": RUN},
    "/layer": {"run": RUN, "layer": "dense_1"},
    "/histograms": {
        "run": RUN,
        "variable": "dense_1/kernel",
        "kind": "gradients",
    },
    "/findings": {"run": RUN},
    "/static/index.js": {},
}


@pytest.fixture(scope="module")
def provider():
    events = seeds.events(seeds.described(), range(6))
    return Memory({RUN: [*events, panels()]})


def panels():
    value = seeds.event_writer.histogram_value(
        "gradients/dense_1/kernel", [[0.0, 1.0, 3.0]]
    )
    return seeds.event_writer.event(1, 1.0, [value])


@pytest.fixture
def client(provider):
    return targets.client_of(provider)


def routes():
    return sorted(
        route
        for route in plugin.GradscopePlugin(_context()).get_plugin_apps()
        if not route.startswith("/static/") or route == "/static/index.js"
    )


def _context():
    return targets.base_plugin.TBContext(data_provider=object())


def test_every_route_is_asked_below():
    assert routes() == sorted(QUERIES)


@pytest.mark.parametrize("route", QUERIES)
def test_every_answer_has_the_heads_that_tensorboard_demands(client, route):
    bad = {"run": "nope", "rows": "nope"}
    for query in (QUERIES[route], QUERIES[route] | {"soon": 1}, {}, bad):
        response = client.get(BASE + route, query_string=query)
        assert response.status_code in (200, 202, 400, 404)
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        kind = response.content_type.partition(";")[0]
        # Nothing is HTML, so that no name can be; scripts are our own files.
        assert kind in {
            "application/json",
            "application/octet-stream",
            "text/plain",
            "text/javascript",
        }
        assert not [h for h in response.headers if "Access-Control" in h[0]]
        assert "Set-Cookie" not in response.headers
    good = client.get(BASE + route, query_string=QUERIES[route])
    assert good.status_code == 200


@pytest.mark.parametrize("route", QUERIES)
def test_no_route_can_write(client, route):
    for method in (
        *("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"),
        *("CONNECT", "PROPFIND", "get", "Get", "", "NONSENSE"),
    ):
        response = client.open(
            BASE + route, method=method, query_string=QUERIES[route]
        )
        # The test client makes capitals of a method.
        if method.upper() != "GET":
            assert response.status_code == 405, method
            assert response.headers["Allow"] == "GET, HEAD"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert len(response.data) < 200


@pytest.mark.parametrize("route", QUERIES)
def test_head_has_no_body(client, route):
    head = client.head(BASE + route, query_string=QUERIES[route])
    assert head.status_code == 200 and head.data == b""


def test_the_page_is_served_with_a_policy_that_runs_its_own_scripts(client):
    page = client.get("/data/plugin_entry.html?name=gradscope")
    policy = page.headers["Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'self'"
    assert rules["object-src"] == "'none'"
    assert "unsafe-inline" not in rules["script-src"]


@pytest.mark.parametrize("route", QUERIES)
@pytest.mark.parametrize("value", ["x" * 30_000, "<b>" * 5000, "\0" * 3000])
def test_a_reply_does_not_repeat_all_that_was_sent(client, route, value):
    for name in ("run", "rows", "statistic", "only", "layer", "variable"):
        query = {**QUERIES[route], name: value}
        response = client.get(BASE + route, query_string=query)
        if response.status_code != 200:
            assert response.status_code in (400, 404)
            assert len(response.data) < 2000, (name, response.text[:100])


def test_a_long_list_of_statistics_is_cut():
    network = dataclasses.replace(
        seeds.described(),
        columns={"variables": tuple(f"statistic_{n}" for n in range(1000))},
    )
    events = seeds.events(network, range(2))
    client = targets.client_of(Memory({RUN: events}))
    response = client.get(BASE + "/matrix", query_string=QUERIES["/matrix"])
    assert response.status_code == 400
    assert "statistic_49 and 950 more; got 'gradient_norm'" in response.text


def test_a_series_is_no_longer_than_any_reply(client, monkeypatch):
    columns = len(gradscope.format.schema.VARIABLE_COLUMNS)
    monkeypatch.setattr(matrix, "MAX_BYTES", 24 + 2 * (8 + 4 * columns))
    for route in ("/series", "/matrix"):
        response = client.get(BASE + route, query_string=QUERIES[route])
        assert response.status_code == 200
        assert len(response.data) <= matrix.MAX_BYTES


def test_names_that_clients_make_up_leave_nothing_in_memory(provider):
    served = plugin.GradscopePlugin(
        targets.base_plugin.TBContext(data_provider=provider)
    )
    client = targets.Client(
        targets.application.TensorBoardWSGI([served], data_provider=provider)
    )

    def ask(number):
        for route in ("/matrix", "/series", "/layer", "/findings", "/runs"):
            query = {**QUERIES[route], "x": number}
            client.get(BASE + route, query_string=query | {"run": f"r{number}"})
            # TensorBoard takes any name of an experiment here.
            experiment = f"/experiment/e{number}{BASE}{route}"
            assert client.get(experiment, query_string=query).status_code == 200

    for number in range(20):
        ask(number)
    runs = served._runs
    assert not len(runs._locks)
    assert len(runs._listing) == 1
    assert len(runs._previews) <= run_data._PREVIEWS
    assert len(runs._records) == 20 <= run_data._RECORDS


def test_what_is_kept_is_bounded(provider, monkeypatch):
    monkeypatch.setattr(run_data, "_RECORDS", 3)
    monkeypatch.setattr(findings, "_MOST", 3)
    runs = run_data.Runs(provider)
    told = findings.Findings(runs)
    for number in range(10):
        assert told.text(context.RequestContext(), f"e{number}", RUN)
    assert len(runs._records) == 3
    assert list(told._replies) == [(f"e{n}", RUN) for n in (7, 8, 9)]


def test_answers_that_nobody_fetches_are_bounded(monkeypatch):
    monkeypatch.setattr(answer_queue, "PATIENCE", 0)
    monkeypatch.setattr(answer_queue, "_MOST", 3)
    making = answer_queue.AnswerQueue("test")
    made = []

    def make(number):
        answer_queue.time.sleep(0.05)
        made.append(number)

    for number in range(20):
        with pytest.raises(answer_queue.NotYet):
            making.get(number, lambda number=number: make(number))
    assert len(making._started) == 3
    making._pool.shutdown()
    assert made == [0, 1, 2]


#: Functions that run what they are given, by the module that has them.
RUNS = {
    "builtins": {"eval", "exec", "compile", "__import__"},
    "os": {"system", "popen", "execv", "execve", "spawnv"},
    "importlib": {"import_module"},
}
NEVER = {"pickle", "cPickle", "dill", "marshal", "shelve", "yaml", "joblib"}

#: Where one of them is called all the same, with what.
KNOWN = {
    # The modules of the public names, a constant.
    ("gradscope/__init__.py", "importlib.import_module"),
    # One of `TOOLS`, a constant; the name is an argument of `Callback`.
    ("gradscope/mirroring/__init__.py", "importlib.import_module"),
}


def sources():
    for package in (gradscope, gradscope_plugin):
        folder = pathlib.Path(package.__file__).parent
        for path in folder.rglob("*.py"):
            name = path.relative_to(folder.parent).as_posix()
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def called(node):
    """Returns the name of the function that a node calls, with dots."""
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def test_nothing_of_a_log_is_run_or_unpickled():
    found, loads, seen = set(), [], 0
    for name, tree in sources():
        for node in ast.walk(tree):
            seen += 1
            if isinstance(node, ast.Import):
                tops = {one.name.partition(".")[0] for one in node.names}
                assert not tops & NEVER, (name, node.lineno)
            elif isinstance(node, ast.ImportFrom) and node.module:
                top = node.module.partition(".")[0]
                assert top not in NEVER, (name, node.lineno)
            function = called(node)
            module, _, last = function.rpartition(".")
            if last in RUNS.get(module or "builtins", ()):
                found.add((name, function))
            if last == "load" and module in ("np", "numpy"):
                loads.append((name, {k.arg: k.value for k in node.keywords}))
    assert seen > 10_000
    assert found == KNOWN
    for name, keywords in loads:
        assert keywords["allow_pickle"].value is False, name
    assert [name for name, _ in loads] == ["gradscope/cli/check.py"]


def test_requirements_have_a_lower_end_and_are_met_here():
    parser = configparser.ConfigParser()
    parser.read(pathlib.Path(__file__).parents[2] / "setup.cfg")
    lines = parser["options"]["install_requires"].split()
    needed = [requirements.Requirement(line) for line in lines]
    assert [one.name for one in needed] == ["numpy", "protobuf", "tensorboard"]
    for one in needed:
        # Without an upper end, since pip would then move what a newer
        # TensorFlow needs.
        ends = {specifier.operator for specifier in one.specifier}
        assert ends == {">="}, one
        assert metadata.version(one.name) in one.specifier, one


def test_the_reader_opens_no_file_but_event_files():
    opened = {
        name
        for name, tree in sources()
        for node in ast.walk(tree)
        if called(node) == "open"
    }
    assert opened == {
        "gradscope/cli/main.py",
        "gradscope/cli/report.py",  # which it writes
        "gradscope/reading/storage.py",
    }


def test_the_plugin_opens_no_file_and_starts_no_process():
    for name, tree in sources():
        # A report is made by a command, not by the server.
        if not name.startswith("gradscope_plugin/") or "/report/" in name:
            continue
        for node in ast.walk(tree):
            text = ast.unparse(node) if isinstance(node, ast.Call) else ""
            assert not re.match(
                r"(open|os\.|subprocess\.|socket\.|shutil\.|urllib)", text
            ), (name, text)
