"""What is seen of a step's forward pass, in the graph that is traced."""

from __future__ import annotations

import collections
import functools

from gradscope.format.schema import State
from gradscope.measuring import states as measuring
from gradscope.runtime import (
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


def see(graph, call, note) -> ForwardPass:
    """Returns what there is to be seen of a step's forward pass.

    Args:
        graph: That is being built, or an `eager.Ops`.
        call: What the optimizer was given.
        note: What the model has told, a `notes.Note`.
    """
    found, unseen, owners = [], [], {}
    kept: list[tuple[tuple, str, LayerStateTensors, tuple]] = []
    variables = [tf_variables.own_variable(v) for v in call.known]
    trained = [
        variable
        for variable, gradient in zip(call.variables, call.grads, strict=True)
        if gradient is not None
    ]
    described = tf_variables.describe(call.known)
    ends = [*call.grads, *note.data.values(), note.loss]
    parts = operations.of_step(graph, ends, replicas.index())
    for number, part in enumerate(parts):
        position = {op.name: i for i, op in enumerate(part.forward)}
        some, functions = activations.find(part.graph, part.near)
        found += some
        unseen += functions + activations.names_of(part.far)
        names = tf_variables.without_gradient(part.graph, trained)
        norms = layer_states.batch_norms(part.forward, names)
        origins = tf_variables.origins(part.graph)
        for kind, pairs in (
            ("dropout", dropouts.find(part.near)),
            ("batch_norm", norms),
        ):
            kept += [
                ((number, position[name]), kind, one, _own(one, origins))
                for name, one in pairs
                if name in part.names
            ]
        owners |= activations.owners_of(part.graph, variables, described)
    kept.sort(key=lambda item: item[0])
    layer_names = scopes.Names(
        [one.scope for one in [*found, *(one for _, _, one, _ in kept)]],
        owners,
        {one.layer for one in described},
    )
    outputs = operations.ends_of(note.outputs(graph))
    rows = activations.describe(found, owners, layer_names, outputs)
    seen = ForwardPass(unseen=tuple(unseen))
    seen.activations = dict(zip(rows, found, strict=True))
    calls = collections.Counter(own for *_, own in kept)
    of_states: dict[tuple, str] = {}
    for _, kind, one, own in kept:
        layer = layer_names.layer(one.scope)
        name = layer_names.unique(layer)
        # A dropout has nothing of its own to know it by.
        layer = of_states.setdefault(own, layer) if own else layer
        count = calls[own] if own else 1
        seen.states[_state(name, kind, one, count, layer)] = one
    seen.links = functools.partial(linear_chains.find, parts, variables)
    seen.wiring = functools.partial(
        odd_wiring.find, parts, trained, dict(seen.activations), bool(outputs)
    )
    for part in parts:
        if part.graph is graph and tracing.session_graph(graph) is None:
            layers_known = {one.layer for one in described}
            seen.suspects = nan_suspects.find(part, ends, owners, layers_known)
    seen = note.added(seen, call, graph)
    return seen.with_tensors(
        [getattr(tensor, "noted", tensor) for tensor in seen.tensors()]
    )


def _own(kept: LayerStateTensors, origins: dict) -> tuple:
    """Returns what the calls of one layer have in common: the variables that
    they move."""
    return tuple(origins.get(name, name) for name in kept.handles)


def _state(
    name: str, kind: str, kept: LayerStateTensors, calls: int, layer: str
) -> State:
    sizes = [t.shape.num_elements() for t in kept.moving]
    if None in sizes:
        kept.moving, sizes = [], []
    size = sum(map(measuring.sample_size, sizes))
    return State(name, kind, size, calls, layer)
