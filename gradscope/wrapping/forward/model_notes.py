"""What a Keras model tells while its step is traced, or runs eagerly.

Its `call` and its `compute_loss` are stood in for, so that inputs, outputs,
targets and loss are known by what they are, and not by their place in a graph.
"""

from __future__ import annotations

import dataclasses
import threading
import weakref

import tensorflow as tf

from gradscope.format.schema import State
from gradscope.measuring import states as measuring
from gradscope.runtime import (
    eager_operations,
    operations,
    tf_variables,
    tracing,
)
from gradscope.runtime.stand_in import MethodReplacement
from gradscope.wrapping.forward import logged_loss
from gradscope.wrapping.forward.forward_pass import NO_LOSS, ForwardPass
from gradscope.wrapping.forward.layer_states import LayerStateTensors


@dataclasses.dataclass
class ModelCapture:
    """What is known of one forward pass.

    Attributes:
        model: The model, None where it is not known.
        data: Inputs, targets and outputs by name.
        loss: None where it is not known.
    """

    model: object = None
    data: dict = dataclasses.field(default_factory=dict)
    loss: tf.Tensor | None = None

    def added(self, seen: ForwardPass, call, graph) -> ForwardPass:
        """Returns what was seen in a graph, and what is known besides.

        Args:
            seen: Found in the graph.
            call: What the optimizer was given.
            graph: That is being built, or an `eager.Ops`.
        """
        graphs = tracing.outermost_first(graph)
        seen.data = {n: t for n, t in self.data.items() if _is_of(t, graphs)}
        if self.loss is not None and _is_of(self.loss, graphs):
            seen.loss = self.loss
        if self.model is not None:
            if seen.loss is None and logged_loss.is_own(self.model):
                seen.unseen += (NO_LOSS,)
            self._add_states(seen, call, graphs)
        return seen

    def outputs(self, graph) -> list:
        """Returns the model's outputs that are of a graph, or around it.

        Args:
            graph: That is being built, or an `eager.Ops`.
        """
        tensors = [
            tensor
            for name, tensor in self.data.items()
            if name.split("/")[0] == "output"
        ]
        if isinstance(graph, eager_operations.EagerGraph):
            noted = [graph.noted(tensor) for tensor in tensors]
            return [tensor for tensor in noted if tensor is not None]
        graphs = tracing.outermost_first(graph)
        return [tensor for tensor in tensors if _is_of(tensor, graphs)]

    def _add_states(self, seen: ForwardPass, call, graphs: list) -> None:
        """Adds layers whose states do not move, or not as batch norm's."""
        told = {name for kept in seen.states.values() for name in kept.handles}
        reached = operations.behind(call.grads)
        for layer, parts in _stateful(self.model, call.known).items():
            own = {n: tf_variables.own_variable(v) for n, v in parts}
            used = {
                name
                for graph in graphs
                for name in tf_variables.handles(graph, list(own.values()))
            }
            if not used or used & told:
                continue
            is_norm = set(_NORM) <= set(own)
            values = [own[n] for n in _NORM] if is_norm else [*own.values()]
            sizes = [
                measuring.sample_size(v.shape.num_elements()) for v in values
            ]
            kind = "batch_norm" if is_norm else "state"
            row = State(layer, kind, sum(sizes), layer=layer)
            seen.states[row] = LayerStateTensors(
                moving=values,
                training=not _is_behind(reached, own["moving_mean"], graphs)
                if is_norm
                else None,
            )


def _is_behind(reached: set, variable, graphs: list) -> bool:
    """Returns whether gradients depend on a moving statistic, as they do in
    inference mode; in training mode the batch's own is used, and where the
    moving one is not moved, somebody forgot to (`stateless_call`)."""
    for graph in graphs:
        if isinstance(graph, eager_operations.EagerGraph):
            return True  # of eager gradients it is not known
        for name in tf_variables.handles(graph, [variable]):
            if (id(graph), name.partition(":")[0]) in reached:
                return True
    return False


#: What Keras calls what `compute_loss` is given.
_ROLES = {"input": "x", "target": "y", "output": "y_pred"}

#: What Keras calls the variables of batch norm.
_NORM = ("moving_mean", "moving_variance")


def _stateful(model, known: list) -> dict[str, list]:
    """Returns the floating variables of a model that are not trained, by layer:
    pairs of their own name and the variable."""
    moving = [
        variable
        for variable in model.non_trainable_variables
        if tf.as_dtype(variable.dtype).is_floating
        and tf_variables.tf_variable(variable).shape.is_fully_defined()
        and all(variable is not v for v in known)
    ]
    described = tf_variables.describe([*known, *moving])[len(known) :]
    found: dict[str, list] = {}
    for variable, one in zip(moving, described, strict=True):
        own_name = one.name.rpartition("/")[2]
        found.setdefault(one.layer, []).append((own_name, variable))
    return found


class ModelCaptures:
    """Takes notes of a model's forward passes while they are made.

    Args:
        model: A Keras model.
        wanted: Returns whether notes are to be taken now.
        begin: From the model to the context of a forward pass.
        fail: Called with an error of ours; the model's own are raised.
    """

    def __init__(self, model, wanted, begin, fail):
        self._model = weakref.ref(model)
        self._wanted = wanted
        self._begin = begin
        self._fail = fail
        # A strategy traces each replica in a thread of its own.
        self._local = threading.local()
        self.stand_ins = [MethodReplacement(model, "call", self._called)]
        if hasattr(model, "compute_loss"):
            one = MethodReplacement(model, "compute_loss", self._computed)
            self.stand_ins.append(one)
        self._logged = logged_loss.LoggedLoss(model, fail)
        self.stand_ins += self._logged.stand_ins

    def returned(self, logs) -> None:
        """Notes what the model's plain program returns of a step."""
        self._logged.returned(logs)

    def latest(self, graph) -> ModelCapture:
        """Returns the note of the last forward pass in a graph, or of eager
        mode, and forgets it."""
        for one in reversed(tracing.outermost_first(graph) or [None]):
            note = self._noted().pop(one or self, None)
            if note is not None:
                break
        else:
            note = ModelCapture(self._model())
        if note.loss is None:
            note.loss = self._logged.loss(graph)
        return note

    def _called(self, *arguments, **keywords):
        original = self.stand_ins[0].original
        if not self._is_wanted(keywords):
            return original(*arguments, **keywords)
        with self._begin(self._model()):
            outputs = original(*arguments, **keywords)
        self._take({"input": arguments[:1], "output": (outputs,)})
        return outputs

    def _computed(self, *arguments, **keywords):
        loss = self.stand_ins[1].original(*arguments, **keywords)
        if self._is_wanted(keywords):
            names = ("x", "y", "y_pred", "sample_weight")
            told = dict(zip(names, arguments, strict=False)) | keywords
            self._take({r: (told.get(n),) for r, n in _ROLES.items()}, loss)
        return loss

    def _is_wanted(self, keywords: dict) -> bool:
        try:
            return keywords.get("training") is not False and self._wanted()
        except Exception as error:
            self._fail(error)
            return False

    def _take(self, roles: dict, loss=None) -> None:
        """Notes the tensors of some nests by their roles, and the loss."""
        try:
            data: dict = {}
            for role, nest in roles.items():
                data |= _named(role, nest)
            key = tracing.current_graph() or self
            self._noted()[key] = ModelCapture(self._model(), data, loss)
        except Exception as error:
            self._fail(error)

    def _noted(self):
        """Returns this thread's notes by graph; of eager mode by this object,
        which is no graph."""
        if not hasattr(self._local, "notes"):
            self._local.notes = weakref.WeakKeyDictionary()
        return self._local.notes


def _named(role: str, nest) -> dict:
    """Returns the tensors of a nest by name: `input`, or `input/tokens`."""
    found: dict = {}

    def add(name, value):
        if isinstance(value, dict):
            for key in value:
                add(f"{name}/{key}", value[key])
        elif isinstance(value, list | tuple):
            for number, part in enumerate(value):
                several = len(value) > 1
                add(f"{name}/{number}" if several else name, part)
        elif tf.is_tensor(value) and _is_number(value):
            found[name] = value

    add(role, tuple(nest))
    return found


def _is_number(tensor) -> bool:
    return not isinstance(tensor, tf.IndexedSlices | tf.SparseTensor) and (
        isinstance(tensor, tf.Tensor)
        and (tensor.dtype.is_floating or tensor.dtype.is_integer)
    )


def _is_of(tensor, graphs: list) -> bool:
    if not tf.is_symbolic_tensor(tensor):
        return any(
            isinstance(graph, eager_operations.EagerGraph) for graph in graphs
        )
    return any(tensor.graph is graph for graph in graphs)
