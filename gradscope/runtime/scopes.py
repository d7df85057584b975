"""Finds the names of layers in the name scopes of their operations."""

from __future__ import annotations

import re

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
        # A handle is named after the scope of its first use.
        self._again = any(
            not _is_in(layer, name, False) and _is_in(layer, name, True)
            for name, layer in owners.items()
        )
        self._taken: dict[str, int] = {}

    def layer(self, scope: str, owner: str | None = None) -> str:
        """Find the name of the layer of a scope.

        Args:
            scope: Scope of an operation.
            owner: The layer whose weight was used just before, if any.
        """
        return (
            self._layer_with_weights(scope, self._again)
            or self._layer_with_weights(scope, not self._again)
            or (self._holds(scope) and owner)
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


def of(operation_name: str) -> str:
    """Scope of an operation, without that of its replica."""
    return _REPLICA.sub("", operation_name.rpartition("/")[0])


def replica_number(name: str) -> int:
    """Number of the replica to which an operation of this name belongs."""
    match = _REPLICA.search(name + "/")
    return int(match[1]) if match else 0


_REPLICA = re.compile(r"\breplica_(\d+)(?:/|$)")


def _is_in(layer: str, name: str, again: bool) -> bool:
    """Whether an operation's name goes through a layer's scope."""
    return f"/{layer}/" in "/" + "/".join(_path(name, again))


def _path(scope: str, again: bool) -> list[str]:
    """Parts of a scope; where `again`, without the numbers behind them."""
    parts = scope.split("/") if scope else []
    return [re.sub(r"_\d+$", "", p) for p in parts] if again else parts
