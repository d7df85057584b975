"""The operations of an eager forward pass, as if they were a graph's.

While a model's `call` runs in a step that is to be recorded, TensorFlow tells
of each operation. What is looked for in graphs is then found here as well.
"""

from __future__ import annotations

import contextlib

import tensorflow as tf

# Have no public name: what is called after every op, as by checks of numerics.
from tensorflow.python.eager import context
from tensorflow.python.framework import op_callbacks


class EagerTensor:
    """A tensor of an eager operation.

    Attributes:
        noted: The tensor itself.
        op: The operation it is from, None where that was before.
        name: Unique among those of one forward pass.
    """

    def __init__(self, tensor, operation, name: str):
        self.noted = tensor
        self.op = operation
        self.name = name
        self._consumers: list[EagerOperation] = []

    @property
    def shape(self) -> tf.TensorShape:
        """Its static shape."""
        return self.noted.shape

    @property
    def dtype(self) -> tf.DType:
        """Its dtype."""
        return self.noted.dtype

    def consumers(self) -> list[EagerOperation]:
        """Returns the operations that it was given to."""
        return self._consumers


class EagerOperation:
    """An eager operation: what `tf.Operation` tells of one in a graph."""

    #: Only a graph has it, and only there is the inside of a function known.
    node_def = None

    def __init__(self, graph, kind: str, name: str):
        self.graph = graph
        self.type = kind
        self.name = name
        self.inputs: list[EagerTensor] = []
        self.outputs: list[EagerTensor] = []
        self.attributes: dict = {}

    def get_attr(self, name: str):
        """Returns an attribute."""
        return self.attributes[name]


class EagerGraph:
    """The operations of one forward pass; has what is asked of a graph."""

    def __init__(self, variables: list):
        #: That the model has, `tf.Variable`s.
        self.variables = variables
        self._operations: list[EagerOperation] = []
        self._tensors: dict[int, EagerTensor] = {}

    def get_operations(self) -> list[EagerOperation]:
        """Returns all operations in their order."""
        return self._operations

    @property
    def captures(self) -> list[tuple]:
        """Handles of variables, each with the tensor that it is here."""
        return [
            (variable.handle, self._tensors[id(variable.handle)])
            for variable in self.variables
            if id(variable.handle) in self._tensors
        ]

    def noted(self, tensor) -> EagerTensor | None:
        """Returns a tensor as it is noted here, None if it is not."""
        return self._tensors.get(id(tensor))

    @contextlib.contextmanager
    def noting(self):
        """Notes what this thread does while the context is entered."""
        op_callbacks.add_op_callback(self._note)
        try:
            yield
        finally:
            op_callbacks.remove_op_callback(self._note)

    def _note(self, kind, inputs, attributes, outputs, name=None, graph=None):
        if graph is None:  # else a function is being traced
            self._add(kind, inputs, attributes or (), outputs)

    def _add(self, kind, inputs, attributes, outputs) -> None:
        scope = context.context().scope_name or ""
        kind = kind.decode() if isinstance(kind, bytes) else kind
        operation = EagerOperation(
            self, kind, f"{scope}{kind}_{len(self._operations)}"
        )
        operation.attributes = dict(
            zip(attributes[::2], attributes[1::2], strict=True)
        )
        self._operations.append(operation)
        for tensor in inputs:
            noted = self._noted(tensor, None)
            noted.consumers().append(operation)
            operation.inputs.append(noted)
        operation.outputs = [self._noted(t, operation) for t in outputs]

    def _noted(self, tensor, operation) -> EagerTensor:
        # The tensors are kept, and so no other one gets the same id.
        known = self._tensors.get(id(tensor))
        if known is None or operation is not None:
            name = f"{len(self._tensors)}:0"
            known = self._tensors[id(tensor)] = EagerTensor(
                tensor, operation, name
            )
        return known
