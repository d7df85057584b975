"""What a Keras model says of itself, for `Schema.model`.

Reading it is `gradscope.format.model_facts`.

All of it is asked once, when the record's rows are known; nothing of it is of
the user's graph, and a layer that cannot tell is told without a configuration.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import warnings

import tensorflow as tf

from gradscope.format.model_facts import LAYER, MOST_LAYERS, MOST_TEXT, plain
from gradscope.format.schema import Schema
from gradscope.runtime import scopes, tf_variables
from gradscope.wrapping.forward import linear_chains, model_compiled
from gradscope.wrapping.forward.model_compiled import quietly


def added(
    schema: Schema, known: list, seen, model, before: Schema | None
) -> Schema:
    """Returns a schema with the facts that belong to its rows.

    Args:
        schema: That knows the rows.
        known: The optimizer's variables in their order.
        seen: A `Forward`.
        model: A Keras model, or None.
        before: Of the steps so far.
    """
    names = [one.name for one in schema.variables]
    variables = [tf_variables.own_variable(variable) for variable in known]
    pairs = linear_chains.named(seen.links(), variables, names)
    if before is not None:
        pairs = (*before.linear, *pairs)
    wiring = (*(before.wiring if before else ()), *seen.wiring())
    return dataclasses.replace(
        schema,
        linear=tuple(dict.fromkeys(p for p in pairs if set(p) <= set(names))),
        wiring=tuple(dict.fromkeys(wiring)),
        model=of_model(model, known, schema),
    )


def of_model(model, known: list, schema: Schema) -> dict:
    """Returns what there is to be told of a model, {} of None.

    Args:
        model: A Keras model, or None.
        known: The optimizer's variables in the order of the record's rows.
        schema: Of these rows.
    """
    if model is None:
        return {}
    with _elsewhere():
        named = _named(model, known, schema)
        return {
            "layers": [
                {
                    "name": name[:MOST_TEXT],
                    "class": type(layer).__name__,
                    "config": _config(layer),
                }
                for name, layer in named[:MOST_LAYERS]
            ],
            "loss": quietly(lambda: model_compiled.losses(model), None),
            "metrics": quietly(lambda: model_compiled.metrics(model), []),
        }


@contextlib.contextmanager
def _elsewhere():
    """Has what a layer computes for its configuration be computed outside of
    the graph that is being built."""
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        if tf.compat.v1.executing_eagerly_outside_functions():
            stack.enter_context(tf.init_scope())
        else:
            stack.enter_context(tf.Graph().as_default())
        yield


def _named(model, known: list, schema: Schema) -> list[tuple]:
    """Returns the layers of a model in forward order, by their names in the
    record: that of their variables, or the path to them."""
    trained = _names(known, tf_variables.describe(known))
    others = [
        variable
        for variable in model.variables
        if id(tf_variables.tf_variable(variable)) not in trained
        and tf.as_dtype(variable.dtype).is_floating
    ]
    # As a state that does not move is named.
    still = _names(
        others, tf_variables.describe([*known, *others])[len(known) :]
    )
    rows = _layers_of_rows(schema)
    holders = scopes.holders(one.layer for one in schema.variables)
    found: list[tuple] = []
    visited = {id(model)}

    def name(layer, path: tuple) -> str:
        own = _own_name(layer, trained)
        other = _own_name(layer, still)
        # The path that scopes show begins with the model's own name.
        inner = scopes.inside(("", *path), holders) or "/".join(path)
        return own or (other if other in rows else inner)

    def add(parent, path: tuple):
        for layer in parent._flatten_layers(
            include_self=False, recursive=False
        ):
            if id(layer) in visited or _is_of(layer, "metrics", "Metric"):
                continue
            visited.add(id(layer))
            own = (*path, str(layer.name))
            is_model = _is_of(layer, "Model")
            if not is_model and not _is_of(layer, "layers", "InputLayer"):
                found.append((name(layer, own), layer))
            add(layer, own)

    add(model, ())
    return found


def _names(variables: list, described) -> dict[int, str]:
    """Returns the names of layers by the ids of their variables."""
    return {
        id(tf_variables.tf_variable(variable)): one.layer
        for variable, one in zip(variables, described, strict=True)
    }


def _layers_of_rows(schema: Schema) -> set[str]:
    """Returns the names of all layers that have a row."""
    of_activations = (a.name.rpartition("/")[0] for a in schema.activations)
    of_states = (s.layer or s.name for s in schema.states)
    return {*schema.layers, *of_activations, *of_states}


def _own_name(layer, names: dict[int, str]) -> str | None:
    """Returns the name of the layer of the first variable that a layer has
    itself, and not one inside of it."""
    for attribute in _OWN_VARIABLES:
        for variable in getattr(layer, attribute, ()):
            name = names.get(id(tf_variables.tf_variable(variable)))
            if name is not None:
                return name
    return None


#: Where Keras 3 and tf_keras keep them.
_OWN_VARIABLES = (
    "_trainable_variables",
    "_non_trainable_variables",
    "_trainable_weights",
    "_non_trainable_weights",
)


def _is_of(layer, *path: str) -> bool:
    """Returns whether something is of a class of Keras 3 or tf_keras."""
    for name in ("keras", "tf_keras"):
        found = sys.modules.get(name)
        for part in path:
            found = getattr(found, part, None)
        if found is not None and isinstance(layer, found):
            return True
    return False


def _config(layer) -> dict:
    config = quietly(lambda: layer.get_config(), {})
    if not isinstance(config, dict):
        return {}
    told = {key: config[key] for key in LAYER if key in config}
    for key, value in told.items():
        if key == "activation":
            told[key] = _function_name(value)
        elif key.endswith(("_initializer", "_regularizer")):
            told[key] = _serialized(value)
    return quietly(lambda: plain(told), {})


def _serialized(value):
    """Returns class and configuration of what Keras has made JSON of."""
    if not isinstance(value, dict):
        return value
    return {key: value[key] for key in ("class_name", "config") if key in value}


def _function_name(value):
    """Returns the name of an activation function: a string, a function, a
    layer, or what Keras has made of it."""
    if isinstance(value, dict):
        name, config = value.get("class_name"), value.get("config")
        # A function of the user's is {"class_name": "function"}.
        is_function = name == "function" and isinstance(config, str)
        return config if is_function else name
    if value is None or isinstance(value, str):
        return value
    return getattr(value, "__name__", type(value).__name__)
