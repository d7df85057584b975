"""Tokens that are 0 among others, where an embedding takes 0 for padding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gradscope.format.rows import Wiring

#: Sequences that are looked at, evenly spread.
_MOST_ROWS = 2000


def masked_words(model: Any, x: Any) -> Iterator[Wiring]:
    """Yield embeddings that mask a 0 which stands between other tokens.

    Args:
        model: A model whose first layer is an embedding.
        x: The inputs that `fit` was given.
    """
    if not isinstance(x, np.ndarray) or x.ndim != 2 or x.shape[1] < 3:
        return
    embedding = _first_embedding(model)
    if embedding is None or not len(x):
        return
    # Rows that are evenly spread: data may be sorted.
    rows = x[:: -(-len(x) // _MOST_ROWS)]
    share = share_with_zeros_inside(rows)
    if share > 0:
        yield Wiring("masked_word", str(embedding.name), f"{share:.3g}")


def share_with_zeros_inside(rows: np.ndarray) -> float:
    """Share of sequences in which a single 0 stands between other tokens.

    Longer stretches of zeros may be the padding of a first of two texts.

    Args:
        rows: Tokens, `[n, steps]`.

    Examples:
        >>> share_with_zeros_inside(np.array([[3, 0, 4, 0], [3, 4, 0, 0]]))
        0.5
    """
    is_word = rows != 0
    is_inside = is_word[:, :-2] & ~is_word[:, 1:-1] & is_word[:, 2:]
    return float(is_inside.any(axis=1).mean())


def _first_embedding(model: Any) -> Any:
    """Find the embedding that masks zeros and reads the model's only input."""
    if len(getattr(model, "inputs", None) or ()) != 1:
        return None
    for layer in model.layers:
        is_masking = getattr(layer, "mask_zero", False) is True
        if type(layer).__name__ == "Embedding" and is_masking:
            return layer if layer.input is model.inputs[0] else None
    return None
