"""Six networks that did not learn, and why. Each answers one question that
somebody asked, with the broken network and its repaired version.

    gradscope demo                  all examples, and TensorBoard
    python examples/dropout_rate.py one example
"""

#: In the order in which they are run.
NAMES = (
    "zero_initialisation",
    "dropout_rate",
    "vanishing_middle_layer",
    "restored_batch_norm",
    "virtual_batch_norm",
    "missing_value",
    "healthy_digits",
)
