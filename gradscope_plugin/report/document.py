"""Puts the page and an archive into one HTML file that needs no network.

The file is allowed to load nothing else.
"""

from __future__ import annotations

import base64
import functools
import html as html_module
import zlib

from gradscope_plugin import bundle
from gradscope_plugin.replies import statistics

# All of the file is inline; nothing comes from the network.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; "
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
</head>
<body>
<noscript>This report is drawn by JavaScript, which is turned off.</noscript>
<script type="application/json" id="statistics">{statistics}</script>
<script type="text/plain" id="archive">{archive}</script>
<script type="module">
{modules}
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
    modules, style, statistics_json = _page()
    return _HTML.format(
        policy=_POLICY,
        # A path on Linux may hold bytes that are no text in UTF-8.
        checksum=f"{zlib.crc32(key.encode('utf-8', 'replace')):08x}",
        title=html_module.escape(": ".join(filter(None, ["Gradscope", title]))),
        style=style,
        statistics=statistics_json,
        archive=base64.b64encode(archive).decode(),
        modules=modules,
    )


def page_bytes() -> int:
    """Return the bytes of a file without any reply."""
    return len(html("", b"").encode())


@functools.cache
def _page() -> tuple[str, str, str]:
    """The modules, the style and the declarations of statistics."""
    files = bundle.page_files()
    return (
        bundle.bundle(files, "reporting/report.js"),
        files["reporting/report.css"] + files["style.css"],
        _safe(statistics.to_json()),
    )


def _safe(text: str) -> str:
    """Escape JSON so that nothing in it ends its `<script>`."""
    return text.replace("<", r"\u003c")
