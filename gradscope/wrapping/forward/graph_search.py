"""Finds activations, layer states, data and loss of a step in its graph."""

from __future__ import annotations

import collections
import dataclasses
import functools
from typing import TYPE_CHECKING

from gradscope.format.schema import State
from gradscope.measuring import states as measuring
from gradscope.runtime import (
    eager_operations,
    operations,
    replicas,
    scopes,
    tf_variables,
    tracing,
)
from gradscope.wrapping.forward import (
    activations,
    dropouts,
    layer_states,
    linear_chains,
    nan_suspects,
    odd_wiring,
)
from gradscope.wrapping.forward.forward_pass import ForwardPass
from gradscope.wrapping.forward.layer_states import LayerStateTensors

if TYPE_CHECKING:
    import tensorflow as tf

    from gradscope.runtime.described_variables import DescribedVariables
    from gradscope.runtime.eager_operations import EagerGraph
    from gradscope.runtime.operations import Subgraph
    from gradscope.wrapping.call import Call
    from gradscope.wrapping.forward.activations import ActivationTensors
    from gradscope.wrapping.forward.model_capture import ModelCapture


def find_forward_pass(
    graph: tf.Graph | EagerGraph,
    call: Call,
    described: DescribedVariables,
    capture: ModelCapture,
) -> ForwardPass:
    """Find the tensors of a step's forward pass.

    Args:
        graph: The graph that is being built, or that of an eager pass.
        call: The optimizer's call.
        described: All variables that have rows in the record.
        capture: The tensors that the model was called with, and its loss.
    """
    variables = [tf_variables.replica_variable(v) for v in described.variables]
    trained = [
        variable
        for variable, gradient in zip(call.variables, call.grads, strict=True)
        if gradient is not None
    ]
    ends = [*call.grads, *capture.data.values(), capture.loss]
    subgraphs = operations.step_subgraphs(graph, ends, replicas.index())
    owners: dict[str, str] = {}
    for subgraph in subgraphs:
        owners |= activations.owners_of(
            subgraph.graph, variables, described.rows
        )
    layers = {row.layer for row in described.rows}
    tensors, unseen = _find_activations(subgraphs)
    states = _find_states(subgraphs, trained)
    layer_names = scopes.LayerNames(
        [layer.scope for layer in (*tensors, *(s.tensors for s in states))],
        owners,
        layers,
    )
    # A layer after the last activation may only reshape or cast: then that
    # activation is still the output.
    outputs = operations.same_number_keys(capture.outputs(graph))
    rows = activations.describe(tensors, owners, layer_names, outputs)
    by_row = dict(zip(rows, tensors, strict=True))
    forward_pass = ForwardPass(
        activations=by_row,
        states=_describe_states(states, layer_names),
        unseen=tuple(unseen),
        find_linear_chains=functools.partial(
            linear_chains.find, subgraphs, variables
        ),
        find_odd_wiring=functools.partial(
            odd_wiring.find, subgraphs, trained, by_row, bool(outputs)
        ),
    )
    for subgraph in subgraphs:
        if subgraph.graph is graph and tracing.session_graph(graph) is None:
            forward_pass.suspects = nan_suspects.find(
                subgraph, ends, owners, layers
            )
    capture.add_to(forward_pass, call, described, graph)
    return forward_pass.with_tensors(
        list(map(eager_operations.unwrap, forward_pass.tensors()))
    )


def _find_activations(
    subgraphs: list[Subgraph],
) -> tuple[list[ActivationTensors], list[str]]:
    """Activations in forward order, and names of those that are unreachable."""
    tensors, unseen = [], []
    for subgraph in subgraphs:
        of_subgraph, functions = activations.find(
            subgraph.graph, subgraph.reachable
        )
        tensors += of_subgraph
        unseen += functions + activations.names_of(subgraph.unreachable)
    return tensors, unseen


@dataclasses.dataclass
class _LayerState:
    """One call of a layer with a state.

    Attributes:
        place: Numbers of its subgraph and of its operation there.
        kind: Its kind in the record.
        tensors: Its tensors.
        key: Key of its layer, see `_key`.
    """

    place: tuple[int, int]
    kind: str
    tensors: LayerStateTensors
    key: tuple


def _find_states(
    subgraphs: list[Subgraph], trained: list[tf.Variable]
) -> list[_LayerState]:
    """Layer states in forward order."""
    states = []
    for number, subgraph in enumerate(subgraphs):
        position = {op.name: i for i, op in enumerate(subgraph.forward)}
        names = tf_variables.untrained_names(subgraph.graph, trained)
        norms = layer_states.batch_norms(subgraph.forward, names)
        origins = tf_variables.origins(subgraph.graph)
        for kind, pairs in (
            ("dropout", dropouts.find(subgraph.reachable)),
            ("batch_norm", norms),
        ):
            states += [
                _LayerState(
                    (number, position[name]), kind, state, _key(state, origins)
                )
                for name, state in pairs
                if name in subgraph.names
            ]
    return sorted(states, key=lambda state: state.place)


def _describe_states(
    states: list[_LayerState], layer_names: scopes.LayerNames
) -> dict[State, LayerStateTensors]:
    """Describe layer states as rows of the record."""
    rows = {}
    calls = collections.Counter(state.key for state in states)
    layer_of_key: dict[tuple, str] = {}
    for state in states:
        layer = layer_names.layer(state.tensors.scope)
        name = layer_names.unique(layer)
        # A dropout has no variables that tell its layer, so each call of one
        # counts as a layer.
        key = state.key
        layer = layer_of_key.setdefault(key, layer) if key else layer
        count = calls[key] if key else 1
        row = _state(name, state.kind, state.tensors, count, layer)
        rows[row] = state.tensors
    return rows


def _key(state: LayerStateTensors, origins: dict) -> tuple:
    """Key of a layer, the same for all of its calls: the variables that they
    move. Empty without any."""
    return tuple(origins.get(name, name) for name in state.handles)


def _state(
    name: str, kind: str, tensors: LayerStateTensors, calls: int, layer: str
) -> State:
    sizes = [t.shape.num_elements() for t in tensors.moving]
    if None in sizes:
        # A row has a number for each value, so their count must be known.
        tensors.moving, sizes = [], []
    size = sum(map(measuring.sample_size, sizes))
    return State(name, kind, size, calls, layer)
