"""Captures the operations of an eager forward pass in the form of a graph.

While a model's `call` runs in a step that is recorded, TensorFlow reports each
operation. Captured like this, an eager forward pass can be searched by the same
code as a graph.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

# Neither has a public name: the callbacks that run after every operation, which
# TensorFlow uses to check numerics.
from tensorflow.python.eager import context
from tensorflow.python.framework import op_callbacks


class EagerTensor:
    """A tensor of an eager operation.

    Attributes:
        tensor: The tensor itself.
        op: The operation that returned it; None if it is older than the
            capture.
        name: Unique among the tensors of one forward pass.
    """

    def __init__(
        self, tensor: tf.Tensor, operation: EagerOperation | None, name: str
    ):
        self.tensor = tensor
        self.op = operation
        self.name = name
        self._consumers: list[EagerOperation] = []

    @property
    def shape(self) -> tf.TensorShape:
        """Its static shape."""
        return self.tensor.shape

    @property
    def dtype(self) -> tf.DType:
        """Its dtype."""
        return self.tensor.dtype

    def consumers(self) -> list[EagerOperation]:
        """List the operations that have the tensor as an input."""
        return self._consumers


class EagerOperation:
    """An eager operation, with the attributes of a graph's `tf.Operation`."""

    #: Only a graph has these, so functions cannot be looked into here.
    node_def = None

    def __init__(self, graph: EagerGraph, kind: str, name: str):
        self.graph = graph
        self.type = kind
        self.name = name
        self.inputs: list[EagerTensor] = []
        self.outputs: list[EagerTensor] = []
        self.attributes: dict = {}

    def get_attr(self, name: str) -> object:
        """Get an attribute by name."""
        return self.attributes[name]


class EagerGraph:
    """The operations of one eager forward pass, with the methods of a graph."""

    def __init__(self, variables: list[tf.Variable]):
        #: The model's variables.
        self.variables = variables
        self._operations: list[EagerOperation] = []
        self._tensors: dict[int, EagerTensor] = {}

    def get_operations(self) -> list[EagerOperation]:
        """List all operations in their order."""
        return self._operations

    @property
    def captures(self) -> list[tuple[tf.Tensor, EagerTensor]]:
        """Handles of the variables that were used, each with its tensor in
        this graph."""
        return [
            (variable.handle, self._tensors[id(variable.handle)])
            for variable in self.variables
            if id(variable.handle) in self._tensors
        ]

    def find(self, tensor: tf.Tensor) -> EagerTensor | None:
        """Find a tensor in this graph; None if no operation used it."""
        return self._tensors.get(id(tensor))

    @contextlib.contextmanager
    def capture(self) -> Iterator[None]:
        """Capture the operations of this thread while the context is open."""
        op_callbacks.add_op_callback(self._capture)
        try:
            yield
        finally:
            op_callbacks.remove_op_callback(self._capture)

    def _capture(
        self, kind, inputs, attributes, outputs, name=None, graph=None
    ):
        if graph is None:  # otherwise a function is being traced
            self._add(kind, inputs, attributes or (), outputs)

    def _add(self, kind, inputs, attributes, outputs) -> None:
        scope = context.context().scope_name or ""
        kind = kind.decode() if isinstance(kind, bytes) else kind
        operation = EagerOperation(
            self, kind, f"{scope}{kind}_{len(self._operations)}"
        )
        # They come as one list: name, value, name, value.
        operation.attributes = dict(
            zip(attributes[::2], attributes[1::2], strict=True)
        )
        self._operations.append(operation)
        for tensor in inputs:
            captured = self._add_tensor(tensor, None)
            captured.consumers().append(operation)
            operation.inputs.append(captured)
        operation.outputs = [self._add_tensor(t, operation) for t in outputs]

    def _add_tensor(self, tensor, operation) -> EagerTensor:
        # An `EagerTensor` keeps its tensor alive, so that no other gets its id.
        captured = self._tensors.get(id(tensor))
        if captured is None or operation is not None:
            name = f"{len(self._tensors)}:0"
            captured = self._tensors[id(tensor)] = EagerTensor(
                tensor, operation, name
            )
        return captured


def unwrap(tensor: tf.Tensor | EagerTensor) -> tf.Tensor:
    """Get the tensor of TensorFlow behind a captured one."""
    return tensor.tensor if isinstance(tensor, EagerTensor) else tensor
