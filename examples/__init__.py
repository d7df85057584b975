"""Six networks that did not learn, and why: each is one question that
somebody asked, broken and repaired.

    gradscope demo                  all of them, and TensorBoard
    python examples/dropout_rate.py one of them
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
