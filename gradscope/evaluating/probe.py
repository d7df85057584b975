"""The loss of one batch in training mode and in inference mode.

Both are computed as the model computes them, and all that this moved is put
back. (`keras.StatelessScope` would catch what is assigned instead; but a user's
own `tf.function` inside of the model that is traced in it stays as it was
traced, and the next training step fails with "No gradients provided".)

What a traced program can write to, it has captured; so its captures are put
back, also those that the model does not know, like a generator of seeds that
is a global variable. Stateful random ops count in their kernels, and a program
of its own has kernels of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import random
import sys

import numpy as np
import tensorflow as tf

# Have no public names: the seeds that eager random ops are given, and the
# generator that is made when somebody asks for it first.
from tensorflow.python.eager import context
from tensorflow.python.ops import stateful_random_ops

from gradscope.runtime import lookalike

_KERAS_SEEDS = "global_seed_generator"

#: What a layer collects while it is called.
_COLLECTED = {"keras": ("_losses", "_loss_ids"), "tf_keras": ("_eager_losses",)}


@dataclasses.dataclass(frozen=True)
class Losses:
    """The losses of one and the same batch, with the same weights.

    Without dropout and batch norm they are the same. Dropout alone makes the
    training loss the larger one. A far larger inference loss means that
    training and inference are two networks:

    - batch norm's moving statistics lag behind weights that move fast (few
      steps, a momentum of .99, a large learning rate), or are not updated;
    - dropout drops so much that training sees another network: a rate that
      was meant as the share to keep.

    Attributes:
        training_loss: With dropout, and with the batch's own statistics in
            batch norm.
        inference_loss: Without, and with moving statistics: the loss that
            `model.evaluate` tells of this batch.
    """

    training_loss: float
    inference_loss: float


def probe(model, x, y=None, sample_weight=None) -> Losses:
    """Computes the loss of one batch in training mode and in inference mode.

    Nothing moves: no weight, no statistic of batch norm, no metric, no slot of
    the optimizer and no random stream. Training goes on with the same bits as
    if there had been no probe. To be called between batches or epochs.

    What cannot be put back is what a model does besides computing: Python code
    of its own with an effect (also in `tf.py_function`), draws from Python's or
    numpy's generators, lookup tables and summaries that it writes. Of a model
    with `run_eagerly=True` also variables that it does not track, and the
    count of `tf.random` ops that were given a seed.

    The model's forward pass is traced for each probe, which takes about as long
    as the trace of a training step. Under a distribution strategy the batch is
    that of one replica.

    Args:
        model: A compiled `Model` of Keras 3 on TensorFlow, or of tf_keras.
        x: Inputs of one batch as in `model.fit`: an array or a tensor, or a
            list, tuple or dict of them.
        y: Targets, likewise.
        sample_weight: Weights of the examples, likewise.

    Raises:
        TypeError: If it is not such a model.
        ValueError: If it was not built or compiled, or has no loss.
        NotImplementedError: If Keras runs on another backend.
        RuntimeError: If called in a function or graph that is being traced.
    """
    library = _library(model)
    _check(model)
    floats = library.backend.floatx()
    batch = [_tensors(part, floats) for part in (x, y, sample_weight)]

    def losses():
        return [_loss(model, batch, training) for training in (False, True)]

    with _python_restored(model, library.__name__), _generators_restored():
        if model.run_eagerly:
            with _restored(_variables(model)), _other_eager_seeds():
                inference, training = map(float, losses())
        else:
            # Keras 3 runs its models without AutoGraph, tf_keras with it.
            autograph = library.__name__ == "tf_keras"
            function = tf.function(losses, autograph=autograph)
            program = function.get_concrete_function()
            with _restored(program.captured_inputs):
                inference, training = map(float, program())
    return Losses(training, inference)


def _library(model):
    """Returns the module whose model this is."""
    for name in ("keras", "tf_keras"):
        library = sys.modules.get(name)
        if library is None or not isinstance(model, library.Model):
            continue
        backend = name == "keras" and library.backend.backend()
        if backend not in (False, "tensorflow"):
            raise NotImplementedError(
                f"gradscope cannot probe this model: Keras runs on its "
                f"{backend!r} backend, and gradscope observes Keras on "
                "TensorFlow. Set KERAS_BACKEND=tensorflow before Keras is "
                "imported."
            )
        return library
    raise TypeError(
        "`model` must be a Model of Keras 3 or of tf_keras, got "
        f"{type(model).__name__}."
    )


def _check(model) -> None:
    if not tf.executing_eagerly():
        raise RuntimeError(
            "gradscope.probe needs eager execution, and was called while a "
            "graph is being built. Call it between batches or epochs, outside "
            "of a tf.function."
        )
    if not model.built:
        raise ValueError(
            f"the model {model.name!r} has no weights yet: build it "
            "(`model.build(input_shape)`) or train it before it is probed."
        )
    if not (getattr(model, "compiled", False) or _is_compiled(model)):
        raise ValueError(_no_loss(model))


def _is_compiled(model) -> bool:
    return getattr(model, "_is_compiled", False)


def _no_loss(model) -> str:
    return (
        f"the model {model.name!r} has no loss to probe: give one to "
        "`model.compile(loss=...)`, with `add_loss`, or as a method "
        "`compute_loss`."
    )


def _tensors(nest, floats: str):
    """Returns a nest with arrays as tensors; floats as those of Keras."""

    def tensor(leaf):
        if leaf is None or tf.is_tensor(leaf):
            return leaf
        array = np.asarray(leaf)
        if np.issubdtype(array.dtype, np.floating):
            array = array.astype(floats)
        return tf.convert_to_tensor(array)

    return tf.nest.map_structure(tensor, nest)


def _loss(model, batch, training: bool) -> tf.Tensor:
    x, y, sample_weight = batch
    mode = {"training": training}
    takes_mode = getattr(model, "_call_has_training_arg", True)
    outputs = model(x, **(mode if takes_mode else {}))
    own = type(model).compute_loss
    is_own = own.__module__.split(".")[0] not in ("keras", "tf_keras")
    if not (model.loss or model.losses or is_own):
        raise ValueError(_no_loss(model))
    # While gradscope observes a model, this counts its training steps.
    stand_in = lookalike.stand_in_of(vars(model).get("compute_loss"))
    compute = getattr(stand_in, "original", model.compute_loss)
    takes_mode = "training" in inspect.signature(own).parameters
    loss = compute(x, y, outputs, sample_weight, **(mode if takes_mode else {}))
    return tf.cast(loss, tf.float32)


def _variables(model) -> list:
    """Returns the handles of all variables that a model leads to."""
    found = tf.train.TrackableView(model).descendants()
    found += model.variables
    found += [v for metric in model.metrics for v in metric.variables]
    if _keras_seeds() is not None:
        found.append(_keras_seeds().state)
    if stateful_random_ops.global_generator is not None:
        found.append(stateful_random_ops.global_generator.state)
    handles = {}
    for variable in found:
        if hasattr(variable, "path") and hasattr(variable, "assign"):
            variable = variable.value  # Keras 3 puts its own around it
        replicated = isinstance(variable, tf.distribute.DistributedValues)
        for one in variable.values if replicated else [variable]:
            if isinstance(one, tf.Variable):
                handles[id(one)] = one.handle
    return list(handles.values())


@contextlib.contextmanager
def _restored(tensors: list):
    """Puts back what the variables of these handles hold now.

    A variable that is read is not copied, unless it is written to later.
    """
    kept = []
    for handle in tensors:
        if handle.dtype != tf.resource:
            continue
        data = handle._handle_data
        # Tables and iterators are resources, too.
        if data is None or len(data.shape_and_type) != 1:
            continue
        if tf.raw_ops.VarIsInitializedOp(resource=handle):
            dtype = tf.as_dtype(data.shape_and_type[0].dtype)
            value = tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype)
            kept.append((handle, value))
    try:
        yield
    finally:
        for handle, value in kept:
            tf.raw_ops.AssignVariableOp(resource=handle, value=value)


@contextlib.contextmanager
def _generators_restored():
    """Takes back the global generators of Keras and TensorFlow, where a model
    that asked for them has just made them. Their states are variables."""
    seeds, python = _keras_seeds(), random.getstate()
    generator = stateful_random_ops.global_generator
    try:
        yield
    finally:
        if seeds is None and _keras_seeds() is not None:
            # With a seed from Python's generator, as it will be made again.
            _keras_state().pop(_KERAS_SEEDS)
            random.setstate(python)
        stateful_random_ops.global_generator = generator


@contextlib.contextmanager
def _other_eager_seeds():
    """Gives eager random ops seeds that training will not give.

    To put the generator of these seeds back is not enough: an op with a seed
    that was used before goes on with the count of the kernel it had then.
    """
    eager = context.context()
    generator = getattr(eager, "_rng", None)  # there is none without a seed
    if generator is not None:
        other = random.Random()
        other.setstate(generator.getstate())
        eager._rng = random.Random(f"gradscope {other.random()}")
    try:
        yield
    finally:
        if generator is not None:
            eager._rng = generator


def _keras_state() -> dict:
    module = sys.modules.get("keras.src.backend.common.global_state")
    return {} if module is None else vars(module.GLOBAL_STATE_TRACKER)


def _keras_seeds():
    return _keras_state().get(_KERAS_SEEDS)


@contextlib.contextmanager
def _python_restored(model, library: str):
    """Puts back what layers remember of being called: a trace would leave
    tensors of its graph behind, which nobody can read."""
    layers = list(model._flatten_layers())
    kept = [dict(vars(layer)) for layer in layers]
    collected = [
        (items, type(items)(items))
        for layer in layers
        for items in (getattr(layer, name) for name in _COLLECTED[library])
    ]
    # Of tf_keras, where each op that is traced gets a seed of its own.
    generators = [getattr(x, "_random_generator", None) for x in layers]
    seeds = [getattr(g, "_seed", None) for g in generators]
    try:
        yield
    finally:
        for layer, before in zip(layers, kept, strict=True):
            attributes = vars(layer)
            for name in [n for n, v in attributes.items() if _is_symbolic(v)]:
                del attributes[name]
                if name in before:
                    attributes[name] = before[name]
        for items, before in collected:
            items.clear()
            (items.update if isinstance(items, set) else items.extend)(before)
        for generator, seed in zip(generators, seeds, strict=True):
            if seed is not None:
                generator._seed = seed


def _is_symbolic(value) -> bool:
    return tf.is_tensor(value) and tf.is_symbolic_tensor(value)
