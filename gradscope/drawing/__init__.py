"""Draws a statistic as the page does: in a figure, a terminal or a notebook.

`grid` has the kinds of cells, `palette` has the page's colours, `figures` draws
with matplotlib, `terminal_heatmap` in a terminal, and `png` a small picture.
Nothing here knows of files or records; only `figures` needs more than numpy.
"""
