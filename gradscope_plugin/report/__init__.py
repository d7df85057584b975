"""Writes runs into one HTML file that shows the page without a server.

    written = build.build("logs")
    pathlib.Path("report.html").write_text(written.html, encoding="utf-8")

`files` hands event files to the plugin in the place of TensorBoard, `answers`
asks the plugin's routes all that the page may ask, `thinning` chooses what of
it stays where a report would be too large, `packing` makes it small, and
`document` puts it into a file with the page's own modules.
"""
