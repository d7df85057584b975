"""Names of layers from the name scopes of their operations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

#: The name scope of the operations that are added to a step. Errors that they
#: raise have it in their text.
SCOPE = "gradscope"
_OURS = re.compile(rf"(^|/){SCOPE}(_\d+)?/")


def is_ours(name: str) -> bool:
    """Returns whether an operation of this name was added to a step."""
    return _OURS.search(name) is not None


class Names:
    """Gives what is found in a graph the names of its layers.

    TensorFlow puts `_1` behind a scope that was used before: all of them, where
    the model's `build` was traced into the same graph.

    Args:
        scopes: Of all that is to be named.
        owners: Layers by the names of their weights' handles in the graph.
        layers: Names of all layers that have weights.
    """

    def __init__(
        self, scopes: list[str], owners: dict[str, str], layers: set[str]
    ):
        self._scopes = set(scopes)
        self._layers = layers
        self._holders = holders(layers)
        # A handle is named after the scope of its first use.
        self._again = any(
            not _is_in(layer, name, False) and _is_in(layer, name, True)
            for name, layer in owners.items()
        )
        self._wrapped = _wrapped(owners)
        self._taken: dict[str, int] = {}

    def layer(self, scope: str, owner: str | None = None) -> str:
        """Returns the name of the layer of a scope.

        Args:
            scope: Of an operation.
            owner: The layer whose weight was used just before, if any.
        """
        return (
            self._known(scope, self._again)
            or self._known(scope, not self._again)
            or self._wrapped.get(scope)
            or (self._holds(scope) and owner)
            or inside(_path(scope, self._again), self._holders)
            or inside(_path(scope, not self._again), self._holders)
            or "/".join(_path(scope, self._again)[1:])
            or "/".join(_path(scope, self._again))
            or owner
            or "model"
        )

    def unique(self, name: str) -> str:
        """Returns the name, with a number behind it where it is taken."""
        number = self._taken.get(name, 0)
        self._taken[name] = number + 1
        return f"{name}_{number}" if number else name

    def _known(self, scope: str, again: bool) -> str | None:
        """Returns the layer with weights whose path a scope ends with."""
        parts = _path(scope, again)
        paths = ("/".join(parts[start:]) for start in range(len(parts)))
        return next((path for path in paths if path in self._layers), None)

    def _holds(self, scope: str) -> bool:
        """Returns whether a scope is that of a model, which holds others."""
        return any(other.startswith(scope + "/") for other in self._scopes)


def holders(layers: Iterable[str]) -> set[str]:
    """Returns the paths of what holds layers: all beginnings of theirs."""
    return {
        "/".join(parts[:end])
        for parts in (layer.split("/") for layer in layers)
        for end in range(1, len(parts))
    }


def inside(path: Sequence[str], holders: set[str]) -> str | None:
    """Returns the name of what has no weights and lies inside of something
    that holds layers: it begins as theirs do; None if it lies in nothing.

    Weights have the path that they were built under, which lacks the models
    around a model that was built before: of `task/backbone/block/drop` it is
    `block/drop`, where `block/dense` has weights.

    Args:
        path: From the outermost model to it.
        holders: Of the layers with weights.
    """
    for end in range(len(path), 0, -1):
        for start in range(end):
            is_model = (start, end) == (0, 1)
            if not is_model and "/".join(path[start:end]) in holders:
                return "/".join(path[start:])
    return None


def of(operation_name: str) -> str:
    """Returns the scope of an operation, without that of its replica."""
    return _REPLICA.sub("", operation_name.rpartition("/")[0])


def replica(name: str) -> int:
    """Returns the number of the replica that an operation belongs to."""
    match = _REPLICA.search(name + "/")
    return int(match[1]) if match else 0


_REPLICA = re.compile(r"\breplica_(\d+)(?:/|$)")


def _wrapped(owners: dict[str, str]) -> dict[str, str]:
    """Returns layers by the scopes of wrappers that are named after them.

    Of a layer that was built before it was wrapped, as by TensorFlow's model
    optimization, `dense/kernel` is read in the scope `quant_dense` or
    `prune_low_magnitude_dense`.

    Args:
        owners: Layers by the names of their weights' handles.
    """
    wrapped = {}
    for name, layer in owners.items():
        if _is_in(layer, name, False) or _is_in(layer, name, True):
            continue
        parts = name.split("/")
        for end, part in enumerate(parts, 1):
            if part.endswith("_" + layer.rpartition("/")[2]):
                wrapped["/".join(parts[:end])] = layer
    return wrapped


def _is_in(layer: str, name: str, again: bool) -> bool:
    """Returns whether an operation's name goes through a layer's scope."""
    return f"/{layer}/" in "/" + "/".join(_path(name, again))


def _path(scope: str, again: bool) -> list[str]:
    """Returns the parts of a scope, without numbers of repetition."""
    parts = scope.split("/") if scope else []
    return [re.sub(r"_\d+$", "", p) for p in parts] if again else parts
