"""Finds the names of layers in the name scopes of their operations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

#: The name scope of the operations that gradscope adds to a step. Errors that
#: these raise have the scope in their text.
SCOPE = "gradscope"
_OURS = re.compile(rf"(^|/){SCOPE}(_\d+)?/")


def is_ours(name: str) -> bool:
    """Whether an operation of this name was added to a step by gradscope."""
    return _OURS.search(name) is not None


class LayerNames:
    """Finds the layers' names for operations of a graph.

    TensorFlow puts `_1` behind a scope that was used before. Where the model's
    `build` was traced into the same graph, that happens to every scope.

    Args:
        scopes: Scopes of all operations that will be named.
        owners: Layers by the names of their weights' handles in the graph.
        layers: Names of all layers that have weights.
    """

    def __init__(
        self, scopes: list[str], owners: dict[str, str], layers: set[str]
    ):
        self._scopes = set(scopes)
        self._layers = layers
        self._parents = parent_paths(layers)
        # A handle is named after the scope of its first use.
        self._again = any(
            not _is_in(layer, name, False) and _is_in(layer, name, True)
            for name, layer in owners.items()
        )
        self._wrapped_layers = _wrapped_layers(owners)
        self._taken: dict[str, int] = {}

    def layer(self, scope: str, owner: str | None = None) -> str:
        """Find the name of the layer of a scope.

        Args:
            scope: Scope of an operation.
            owner: The layer whose weight was used just before, if any.
        """
        return (
            # From the surest to a mere guess. Weights name a layer in the
            # record, so a scope that has them is best. Whether scopes have a
            # number is only likely, so the other way is tried, too.
            self._layer_with_weights(scope, self._again)
            or self._layer_with_weights(scope, not self._again)
            or self._wrapped_layers.get(scope)
            or (self._holds(scope) and owner)
            or path_in_parent(_path(scope, self._again), self._parents)
            or path_in_parent(_path(scope, not self._again), self._parents)
            or "/".join(_path(scope, self._again)[1:])
            or "/".join(_path(scope, self._again))
            or owner
            or "model"
        )

    def unique(self, name: str) -> str:
        """Make a name unique, with a number behind it where it is taken."""
        number = self._taken.get(name, 0)
        self._taken[name] = number + 1
        return f"{name}_{number}" if number else name

    def _layer_with_weights(self, scope: str, again: bool) -> str | None:
        """Layer with weights whose path a scope ends with."""
        parts = _path(scope, again)
        paths = ("/".join(parts[start:]) for start in range(len(parts)))
        return next((path for path in paths if path in self._layers), None)

    def _holds(self, scope: str) -> bool:
        """Whether a scope is that of a model, which has others inside."""
        return any(other.startswith(scope + "/") for other in self._scopes)


def parent_paths(layers: Iterable[str]) -> set[str]:
    """List the paths of the layers and models around layers.

    Args:
        layers: Names of layers, as in `"block/dense"`.
    """
    return {
        "/".join(parts[:end])
        for parts in (layer.split("/") for layer in layers)
        for end in range(1, len(parts))
    }


def path_in_parent(path: Sequence[str], parents: set[str]) -> str | None:
    """Shorten the path of a layer without weights as those of its siblings.

    Weights have the path that they were built under. It lacks the models around
    a model that was built before: `task/backbone/block/drop` becomes
    `block/drop` beside the weights of `block/dense`.

    Args:
        path: Names from the outermost model to the layer.
        parents: Result of `parent_paths` of the layers with weights.

    Returns:
        The name, or None if no part of the path is among the parents.
    """
    for end in range(len(path), 0, -1):
        for start in range(end):
            is_outermost = (start, end) == (0, 1)
            if not is_outermost and "/".join(path[start:end]) in parents:
                return "/".join(path[start:])
    return None


def of(operation_name: str) -> str:
    """Scope of an operation, without that of its replica."""
    return _REPLICA.sub("", operation_name.rpartition("/")[0])


def replica_number(name: str) -> int:
    """Number of the replica to which an operation of this name belongs."""
    match = _REPLICA.search(name + "/")
    return int(match[1]) if match else 0


_REPLICA = re.compile(r"\breplica_(\d+)(?:/|$)")


def _wrapped_layers(owners: dict[str, str]) -> dict[str, str]:
    """Find the layers of wrappers that are named after them, by scope.

    If a layer was built before it was wrapped, as by TensorFlow's model
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
    """Whether an operation's name goes through a layer's scope."""
    return f"/{layer}/" in "/" + "/".join(_path(name, again))


def _path(scope: str, again: bool) -> list[str]:
    """Parts of a scope; where `again`, without the numbers behind them."""
    parts = scope.split("/") if scope else []
    return [re.sub(r"_\d+$", "", p) for p in parts] if again else parts
