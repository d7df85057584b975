"""Writes runs into one HTML file that shows the page without a server.

    report = build.build("logs", read.runs_below("logs"))
    pathlib.Path("report.html").write_text(report.html, encoding="utf-8")

`file_provider` hands event files to the plugin in the place of TensorBoard,
`run_source` is a run that is read so, and `routes` asks the plugin's routes all
that the page may ask. `thinning` chooses parts and steps where a report would
be too large, `contents` gathers them, `packing` makes them small, `omissions`
names those that are missing, and `document` puts all into a file with the
page's modules.
"""
