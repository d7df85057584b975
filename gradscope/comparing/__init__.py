"""Two recorded runs beside each other; TensorFlow is not needed.

    comparison = gradscope.compare("logs/a", "logs/b")
    print(comparison)                     # in words
    comparison["gradient_norm"]           # relative differences [S, V]

`matching` says which rows of two runs belong together, `difference` how far
two numbers are apart, `parting` where two runs part, `configuration` what
differs in what they are made of; `comparison` holds it all, and `report` tells
it as text and JSON.
"""

from gradscope.comparing.comparison import Comparison, compare

__all__ = ["Comparison", "compare"]
