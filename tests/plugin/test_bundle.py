"""Tests of the page's modules in one: names, order, and what is refused."""

import json
import subprocess

import pytest

from gradscope_plugin import bundle

FILES = {
    "index.js": """/** Adds. */

import {one, makeTwo} from './numbers/small.js';
import {
  Sum,
} from './numbers/sum.js';

const zero = 0;

export function render() {
  return new Sum(zero, one, makeTwo()).total;
}

export const NAME = 'a';
""",
    "numbers/small.js": """const zero = 1;  // another one

export const one = zero;

export async function wait() {}

export function makeTwo() {
  return one + zero;
}
""",
    "numbers/sum.js": """import {start} from '../start.js';

export class Sum {
  constructor(...parts) {
    this.total = parts.reduce((a, b) => a + b, start);
  }
}
""",
    "start.js": "export const start = 10;\n",
    "unused.js": "export const unused = 'nobody imports it';\n",
    "style.css": "body {}",
}


def run(code, tmp_path):
    """Run a module and print what it exports and returns, as JSON."""
    (tmp_path / "bundle.mjs").write_text(code)
    script = """import * as module from './bundle.mjs';
console.log(JSON.stringify([Object.keys(module).sort(), module.render()]));
"""
    (tmp_path / "main.mjs").write_text(script)
    command = ["node", tmp_path / "main.mjs"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_modules_have_their_own_names_and_come_before_who_imports_them(
    tmp_path,
):
    code = bundle.bundle(FILES, "index.js")
    assert run(code, tmp_path) == [["NAME", "render"], 10 + 0 + 1 + 2]
    assert "unused" not in code and "body" not in code


@pytest.mark.parametrize(
    "line",
    [
        "import './start.js';",
        "import * as start from './start.js';",
        "import {start} from 'https://example.org/start.js';",
        "export default 1;",
        "export let count = 0;",
        "export {start} from './start.js';",
    ],
)
def test_another_form_of_import_or_export_is_refused(line):
    files = FILES | {"start.js": f"{line}\n"}
    with pytest.raises(
        ValueError, match=r"start\.js has a line that cannot be"
    ):
        bundle.bundle(files, "index.js")


def test_modules_that_import_each_other_are_refused():
    text = "import {Sum} from './numbers/sum.js';\n" + FILES["start.js"]
    with pytest.raises(ValueError, match=r"in a circle: .*numbers/sum\.js"):
        bundle.bundle(FILES | {"start.js": text}, "index.js")


@pytest.mark.parametrize(
    "entry, name",
    [("page/start.js", "start"), ("reporting/report.js", "render")],
)
def test_the_page_is_one_module_that_can_be_inside_of_html(entry, name):
    files = bundle.page_files()
    code = bundle.bundle(files, entry)
    end = f'export const {{{name}}} = modules["{entry}"];\n'
    assert code.endswith(end)
    # In a report it stands in a `<script>`, which these would end or change.
    assert "</script" not in code.lower() and "<!--" not in code
    expected = {p for p in files if p.endswith(".js")} - {"index.js"}
    expected -= (
        {"page/start.js"}
        if entry == "reporting/report.js"
        else {p for p in expected if p.startswith("reporting/")}
    )
    assert {p for p in files if f'modules["{p}"] = ' in code} == expected
