"""Puts the page and an archive into one HTML file that needs no network.

The page's modules stay as they are, except that an import map says where they
are instead of relative paths: each is a `data:` URL in the map. The file is
allowed to load nothing else.
"""

from __future__ import annotations

import base64
import functools
import html as html_module
import importlib.resources
import json
import posixpath
import re
import zlib

from gradscope_plugin.replies import statistics

# Where `from '../data/grid.js'` ends a line of a module, as all do.
_IMPORT = re.compile(r"(?<=from ')(\.\.?/[^']+)(?=';$)", re.MULTILINE)

_ENTRY = "reporting/report.js"

#: The page's own files.
_STATIC = "gradscope_plugin", "static"

# Modules are `data:` URLs of an import map, which is inline, as all of the file
# is; nothing comes from the network.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' data:; "
    "style-src 'unsafe-inline'; img-src data: blob:"
)

_HTML = """<!doctype html>
<html lang="en" data-report="{checksum}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{style}</style>
<script type="importmap">{map}</script>
</head>
<body>
<noscript>This report is drawn by JavaScript, which is turned off.</noscript>
<script type="application/json" id="statistics">{statistics}</script>
<script type="text/plain" id="archive">{archive}</script>
<script type="module">
import {{render}} from 'gradscope/{entry}';
render();
</script>
</body>
</html>
"""


def html(title: str, archive: bytes, *, key: str = "") -> str:
    """Format the file.

    Args:
        title: Title of the report.
        archive: All replies; names from event files are nowhere else.
        key: Tells the report from others, of which a browser remembers other
            views.
    """
    map_of_modules, style, statistics_json = _page()
    return _HTML.format(
        policy=_POLICY,
        # A path on Linux may hold bytes that are no text in UTF-8.
        checksum=f"{zlib.crc32(key.encode('utf-8', 'replace')):08x}",
        title=html_module.escape(": ".join(filter(None, ["Gradscope", title]))),
        style=style,
        map=map_of_modules,
        statistics=statistics_json,
        archive=base64.b64encode(archive).decode(),
        entry=_ENTRY,
    )


def page_bytes() -> int:
    """Return the bytes of a file without any reply."""
    return len(html("", b"").encode())


@functools.cache
def _page() -> tuple[str, str, str]:
    """Return the import map, the style and the declarations of statistics."""
    folder = importlib.resources.files(_STATIC[0]) / _STATIC[1]
    modules, styles = {}, []
    for path, text in sorted(_files_below(folder, "")):
        if path.endswith(".js"):
            modules[f"gradscope/{path}"] = _data_url(_with_names(path, text))
        elif path.endswith(".css"):
            styles.append(text)
    return (
        _safe(json.dumps({"imports": modules})),
        "\n".join(styles),
        _safe(statistics.to_json()),
    )


def _files_below(folder, path):
    for file in folder.iterdir():
        if file.is_dir():
            yield from _files_below(file, f"{path}{file.name}/")
        elif file.name.endswith((".js", ".css")):
            yield f"{path}{file.name}", file.read_text(encoding="utf-8")


def _with_names(path: str, text: str) -> str:
    """Replace the relative paths of imports by names of the import map."""

    def name(match):
        target = posixpath.join(posixpath.dirname(path), match[1])
        return f"gradscope/{posixpath.normpath(target)}"

    return _IMPORT.sub(name, text)


def _data_url(text: str) -> str:
    content = base64.b64encode(text.encode()).decode()
    return f"data:text/javascript;base64,{content}"


def _safe(text: str) -> str:
    """Escape JSON so that nothing in it ends its `<script>`."""
    return text.replace("<", r"\u003c")
