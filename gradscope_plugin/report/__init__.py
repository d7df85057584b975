"""Writes runs into one HTML file that shows the page without a server.

    report = build.build("logs", read.runs_below("logs"))
    pathlib.Path("report.html").write_text(report.html, encoding="utf-8")

`files` hands event files to the plugin in the place of TensorBoard, `source` is
a run that is read so, and `answers` asks the plugin's routes all that the page
may ask. `thinning` chooses what of it stays where a report would be too large,
`collected` gathers it, `packing` makes it small, `notes` says what is missing,
and `document` puts all into a file with the page's own modules.
"""
