"""Comparison of two recorded runs; it needs no TensorFlow.

    comparison = gradscope.compare("logs/a", "logs/b")
    print(comparison)                     # in words
    comparison["gradient_norm"]           # relative differences [S, V]

`matching` pairs the rows of two runs, and `common_records` reduces the records
to these. `difference` has the distance of two numbers, `gradient_sketches` that
of two gradients, `parting` the first step in which runs differ, and
`configuration` the settings that differ. `comparison` puts them together, with
`remarks`. `comparison_text` writes the result as text and JSON, from the
`summaries` of layers and variables.
"""

from gradscope.comparing.comparison import Comparison, compare

__all__ = ["Comparison", "compare"]
