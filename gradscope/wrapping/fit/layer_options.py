"""Layers of the model that `fit` trains whose axis or mask does not fit the
layers around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gradscope.format.rows import Wiring

#: Layers that leave out what is masked.
_READERS = (
    "LSTM",
    "GRU",
    "SimpleRNN",
    "RNN",
    "Bidirectional",
    "GlobalAveragePooling1D",
    "MultiHeadAttention",
    "Attention",
    "AdditiveAttention",
)


def odd_layers(model: Any) -> Iterator[Wiring]:
    """Yield batch norms over rows, and layers that lose a mask."""
    layers = list(model._flatten_layers(include_self=False))
    formats = {getattr(layer, "data_format", None) for layer in layers}
    # A network may change the order of its axes on its way.
    is_last = "channels_last" in formats and "channels_first" not in formats
    swaps = any(type(layer).__name__ == "Permute" for layer in layers)
    for layer in layers:
        if is_last and not swaps:
            yield from _norm_over_rows(layer)
        yield from _lost_mask(layer)


def _norm_over_rows(layer: Any) -> Iterator[Wiring]:
    if type(layer).__name__ != "BatchNormalization":
        return
    axis, rank = layer.axis, getattr(layer.input_spec, "ndim", None) or 0
    # tf_keras has a list of axes.
    axis = axis[0] if isinstance(axis, list | tuple) else axis
    if rank == 4 and int(axis) % rank == 1:
        yield Wiring("norm_axis", str(layer.name), f"{axis} {rank}")


def _lost_mask(layer: Any) -> Iterator[Wiring]:
    """A layer that gets a mask, hands none on, and has readers behind it."""
    if getattr(layer, "supports_masking", True) or _has_mask(layer, "output"):
        return
    if not _has_mask(layer, "input"):
        return
    reader = next(_readers_behind(layer), None)
    if reader is not None:
        yield Wiring("lost_mask", str(layer.name), str(reader.name))


def _has_mask(layer: Any, side: str) -> bool:
    """Return whether the tensor at a side of a layer has a mask."""
    try:
        tensor = getattr(layer, side)
    except Exception:  # a layer that was not called on symbolic tensors
        return False
    return getattr(tensor, "_keras_mask", None) is not None


def _readers_behind(layer: Any) -> Iterator[Any]:
    """Yield the layers behind one that would leave out what is masked."""
    todo, visited = [layer], set()
    while todo:
        for node in getattr(todo.pop(), "_outbound_nodes", ()):
            after = getattr(node, "operation", None) or getattr(
                node, "outbound_layer", None
            )
            if after is None or id(after) in visited:
                continue
            visited.add(id(after))
            # What lies behind a reader gets its outputs, and no padding.
            if type(after).__name__ in _READERS:
                if not _has_mask(after, "input"):
                    yield after
            else:
                todo.append(after)
