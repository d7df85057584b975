"""Describes a Keras model for `Schema.model`: its layers, loss and metrics.

`gradscope.format.model_facts` reads the description. A model is described
once, when the record's rows are known, and without adding operations to the
user's graph. A layer whose `get_config` fails is described without it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from gradscope.format.model_facts import (
    LAYER,
    MOST_LAYERS,
    MOST_TEXT,
    json_values,
)
from gradscope.format.schema import Schema
from gradscope.runtime import scopes, tf_variables
from gradscope.wrapping.forward import (
    linear_chains,
    model_compiled,
    still_initial,
    untracked_variables,
)
from gradscope.wrapping.forward.model_compiled import quietly

if TYPE_CHECKING:
    import keras

    from gradscope.runtime.described_variables import DescribedVariables
    from gradscope.wrapping.forward.forward_pass import ForwardPass


def with_facts(
    schema: Schema,
    described: DescribedVariables,
    forward_pass: ForwardPass,
    model: keras.Model | None,
    before: Schema | None,
) -> Schema:
    """Add linear chains, odd wiring and the model's facts to a schema.

    Args:
        schema: A schema with all of its rows.
        described: The variables of the schema's rows.
        forward_pass: The step's forward pass.
        model: A Keras model, or None.
        before: Schema of the steps so far.
    """
    names = [row.name for row in described.rows]
    variables = list(map(tf_variables.replica_variable, described.variables))
    pairs = linear_chains.name_pairs(
        forward_pass.find_linear_chains(), variables, names
    )
    if before is not None:
        pairs = (*before.linear, *pairs)
    wiring_before = before.wiring if before else ()
    wiring = (*wiring_before, *forward_pass.find_odd_wiring())
    return dataclasses.replace(
        schema,
        linear=tuple(dict.fromkeys(p for p in pairs if set(p) <= set(names))),
        wiring=tuple(dict.fromkeys(wiring)),
        model=describe_model(model, described, schema),
    )


def describe_model(
    model: keras.Model | None, described: DescribedVariables, schema: Schema
) -> dict:
    """Describe a model's layers, loss and metrics as JSON; {} for None.

    Args:
        model: A Keras model, or None.
        described: The variables of the schema's rows.
        schema: A schema with all of its rows.
    """
    if model is None:
        return {}
    with _outside_of_graph():
        named = _named_layers(model, described, schema)
        return {
            "layers": [
                _describe_layer(name, layer, described.variables)
                for name, layer in named[:MOST_LAYERS]
            ],
            "loss": quietly(lambda: model_compiled.losses(model), None),
            "metrics": quietly(lambda: model_compiled.metrics(model), []),
        }


def _describe_layer(name: str, layer, trained: Sequence) -> dict:
    config = _config(layer)
    facts = {
        "name": name[:MOST_TEXT],
        "class": type(layer).__name__,
        "config": config,
    }
    initial = quietly(lambda: still_initial.is_initial(layer, config), None)
    untracked = quietly(lambda: untracked_variables.find(layer, trained), [])
    return (
        facts
        | ({} if initial is None else {"is_initial": initial})
        | ({"untracked": untracked} if untracked else {})
    )


@contextlib.contextmanager
def _outside_of_graph() -> Iterator[None]:
    """Keep operations of a layer's `get_config` out of the graph that is being
    built."""
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        if tf.compat.v1.executing_eagerly_outside_functions():
            stack.enter_context(tf.init_scope())
        else:
            # In a program of TensorFlow 1 there is no eager mode to go back to,
            # so the operations go to a graph that nobody runs.
            stack.enter_context(tf.Graph().as_default())
        yield


def _named_layers(
    model, described: DescribedVariables, schema: Schema
) -> list[tuple]:
    """Layers of a model in forward order, each after its name in the record:
    that of its variables, or the path to the layer."""
    trained_names = _layer_names(described.variables, described.rows)
    untrained = [
        variable
        for variable in model.variables
        if id(tf_variables.tf_variable(variable)) not in trained_names
        and tf.as_dtype(variable.dtype).is_floating
    ]
    # The rows of layer states that do not move are named in this way, too.
    state_names = _layer_names(untrained, described.describe_beside(untrained))
    rows = _layers_of_rows(schema)
    parents = scopes.parent_paths(row.layer for row in schema.variables)
    layers: list[tuple] = []
    visited = {id(model)}

    def name(layer, path: tuple) -> str:
        trained_name = _name_by_variable(layer, trained_names)
        state_name = _name_by_variable(layer, state_names)
        # The path that scopes show begins with the model's own name.
        inner_name = scopes.path_in_parent(("", *path), parents)
        default = state_name if state_name in rows else inner_name
        return trained_name or default or "/".join(path)

    def add_layers_of(parent, path: tuple):
        # A layer that holds others has no public list of them.
        for layer in parent._flatten_layers(
            include_self=False, recursive=False
        ):
            if id(layer) in visited or _is_of(layer, "metrics", "Metric"):
                continue
            # A layer that is used in two places is described once.
            visited.add(id(layer))
            layer_path = (*path, str(layer.name))
            is_model = _is_of(layer, "Model")
            if not is_model and not _is_of(layer, "layers", "InputLayer"):
                layers.append((name(layer, layer_path), layer))
            add_layers_of(layer, layer_path)

    add_layers_of(model, ())
    return layers


def _layer_names(variables: Sequence, rows: Sequence) -> dict[int, str]:
    """Names of layers by the ids of their variables."""
    return {
        id(tf_variables.tf_variable(variable)): row.layer
        for variable, row in zip(variables, rows, strict=True)
    }


def _layers_of_rows(schema: Schema) -> set[str]:
    """Names of all layers that have a row."""
    of_activations = (a.name.rpartition("/")[0] for a in schema.activations)
    of_states = (s.layer or s.name for s in schema.states)
    return {*schema.layers, *of_activations, *of_states}


def _name_by_variable(layer, names: dict[int, str]) -> str | None:
    """Name of a layer, from the first variable that belongs to the layer and
    not to one inside of it."""
    for attribute in _VARIABLES_OF_LAYER:
        for variable in getattr(layer, attribute, ()):
            name = names.get(id(tf_variables.tf_variable(variable)))
            if name is not None:
                return name
    return None


#: Attributes of Keras 3 and tf_keras with a layer's variables.
_VARIABLES_OF_LAYER = (
    "_trainable_variables",
    "_non_trainable_variables",
    "_trainable_weights",
    "_non_trainable_weights",
)


def _is_of(layer, *path: str) -> bool:
    """Whether an object is of a class of Keras 3 or tf_keras."""
    for name in ("keras", "tf_keras"):
        kind = sys.modules.get(name)
        for part in path:
            kind = getattr(kind, part, None)
        if kind is not None and isinstance(layer, kind):
            return True
    return False


def _config(layer) -> dict:
    config = quietly(lambda: layer.get_config(), {})
    if not isinstance(config, dict):
        return {}
    facts = {key: config[key] for key in LAYER if key in config}
    for key, value in facts.items():
        if key == "activation":
            facts[key] = _function_name(value)
        elif key.endswith(("_initializer", "_regularizer")):
            facts[key] = _class_and_config(value)
    return quietly(lambda: json_values(facts), {})


def _class_and_config(value):
    """Class and configuration of an object that Keras has serialized."""
    if not isinstance(value, dict):
        return value
    return {key: value[key] for key in ("class_name", "config") if key in value}


def _function_name(value):
    """Name of an activation function: of a string, a function, a layer, or an
    object that Keras has serialized."""
    if isinstance(value, dict):
        name, config = value.get("class_name"), value.get("config")
        # A function of the user's is {"class_name": "function"}.
        is_function = name == "function" and isinstance(config, str)
        return config if is_function else name
    if value is None or isinstance(value, str):
        return value
    return getattr(value, "__name__", type(value).__name__)
