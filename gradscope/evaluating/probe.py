"""Computes the loss of one batch in training mode and in inference mode.

The model computes both losses as usual, and everything that this changed is
restored afterwards. `keras.StatelessScope` would catch assignments instead, but
a user's `tf.function` inside of the model would stay traced within that scope,
and the next training step would fail with "No gradients provided".

A traced program can only write to its captures. So these are restored, which
includes variables that the model does not track, such as a global generator of
seeds. Stateful random operations count in their kernels; a new program has new
kernels, so those of training do not move.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import random
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

# These have no public names: the seeds of eager random operations, and the
# global generator without creating it.
from tensorflow.python.eager import context
from tensorflow.python.ops import stateful_random_ops

from gradscope.runtime import same_signature

_KERAS_SEEDS = "global_seed_generator"

#: Attributes in which a layer collects losses while it is called.
_COLLECTED = {"keras": ("_losses", "_loss_ids"), "tf_keras": ("_eager_losses",)}


@dataclasses.dataclass(frozen=True)
class Losses:
    """The losses of one batch in both modes, with the same weights.

    Without dropout and batch norm both are the same. Dropout alone makes the
    training loss the larger one. A far larger inference loss means that the
    network of inference differs from the trained one:

    - batch norm's moving statistics lag behind weights that move fast (few
      steps, a momentum of .99, a large learning rate), or are not updated;
    - dropout drops so much that another network is trained, as with a rate
      that was meant as the share to keep.

    Attributes:
        training_loss: Loss in training mode, with dropout and with the
            statistics of the batch in batch norm.
        inference_loss: Loss in inference mode, without dropout and with moving
            statistics, as `model.evaluate` computes it for this batch.
    """

    training_loss: float
    inference_loss: float


def probe(
    model: Any, x: Any, y: Any = None, sample_weight: Any = None
) -> Losses:
    """Compute the loss of one batch in training mode and in inference mode.

    The call changes no weight, no statistic of batch norm, no metric, no slot
    of the optimizer and no random stream. Training continues with the same bits
    as without a probe. Call it between batches or epochs.

    Side effects of a model cannot be undone: those of Python code (also in
    `tf.py_function`), draws from the generators of Python or numpy, and writes
    to lookup tables and summaries. With `run_eagerly=True` this also holds for
    variables that the model does not track, and for the count of `tf.random`
    operations with a seed.

    Each probe traces the model's forward pass, which takes about as long as
    tracing a training step. Under a distribution strategy the batch is that of
    one replica.

    Args:
        model: A compiled `Model` of Keras 3 on TensorFlow, or of tf_keras.
        x: Inputs of one batch as in `model.fit`: an array or a tensor, or a
            list, tuple or dict of them.
        y: Targets, likewise.
        sample_weight: Weights of the examples, likewise.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the model was not built or compiled, or has no loss.
        NotImplementedError: If Keras runs on another backend.
        RuntimeError: If called in a function or graph that is being traced.

    Examples:
        In training, batch norm makes -1 and 1 of the inputs 1 and 3. In
        inference it leaves them as they are, since its moving mean and variance
        are still 0 and 1. With targets of 0 the losses are (1 + 1) / 2 and
        (1 + 9) / 2.

        >>> import keras
        >>> import gradscope
        >>> norm = keras.layers.BatchNormalization(epsilon=0.0, name="norm")
        >>> model = keras.Sequential([keras.Input((1,)), norm])
        >>> model.compile(loss="mse")
        >>> x, y = np.array([[1.0], [3.0]]), np.zeros([2, 1])

        >>> gradscope.probe(model, x, y)
        Losses(training_loss=1.0, inference_loss=5.0)
    """
    library = keras_library(model)
    check_ready(model)
    floats = library.backend.floatx()
    batch = [to_tensors(part, floats) for part in (x, y, sample_weight)]

    # Inference comes first: training moves the statistics that inference reads.
    def losses() -> list[tf.Tensor]:
        return [
            model_loss(model, batch, training) for training in (False, True)
        ]

    with restore_layers(model, library.__name__), restore_generators():
        if model.run_eagerly:
            handles = _variable_handles(model)
            with _restore_variables(handles), _use_other_eager_seeds():
                inference, training = map(float, losses())
        else:
            # Keras 3 runs its models without AutoGraph, tf_keras with it.
            autograph = library.__name__ == "tf_keras"
            function = tf.function(losses, autograph=autograph)
            program = function.get_concrete_function()
            with _restore_variables(program.captured_inputs):
                inference, training = map(float, program())
    return Losses(training, inference)


def keras_library(model: Any) -> types.ModuleType:
    """Find the library of a model, `keras` or `tf_keras`.

    Raises:
        TypeError: If `model` is not a Keras model.
        NotImplementedError: If Keras runs on another backend.
    """
    for name in ("keras", "tf_keras"):
        library = sys.modules.get(name)
        if library is None or not isinstance(model, library.Model):
            continue
        backend = name == "keras" and library.backend.backend()
        if backend not in (False, "tensorflow"):
            raise NotImplementedError(
                "gradscope cannot probe this model: Keras runs on its "
                f"{backend!r} backend, but gradscope observes only Keras on "
                "TensorFlow. Set KERAS_BACKEND=tensorflow before Keras is "
                "imported."
            )
        return library
    raise TypeError(
        "`model` must be a Model of Keras 3 or of tf_keras, got "
        f"{type(model).__name__}."
    )


def check_ready(model: Any) -> None:
    """Raise an error unless a model's loss can be computed now.

    Raises:
        ValueError: If the model was not built or compiled.
        RuntimeError: If called in a function or graph that is being traced.
    """
    if not tf.executing_eagerly():
        raise RuntimeError(
            "gradscope.probe needs eager execution, but was called while a "
            "graph was being built. Call it between batches or epochs, outside "
            "a tf.function."
        )
    if not model.built:
        raise ValueError(
            f"the model {model.name!r} has no weights yet. Build it "
            "(`model.build(input_shape)`) or train it before you probe it."
        )
    # Keras 3 has the attribute `compiled`, tf_keras has `_is_compiled`.
    if not (getattr(model, "compiled", False) or _is_compiled(model)):
        raise ValueError(_no_loss(model))


def _is_compiled(model: Any) -> bool:
    return bool(getattr(model, "_is_compiled", False))


def _no_loss(model: Any) -> str:
    return (
        f"the model {model.name!r} has no loss to probe. Define one with "
        "`model.compile(loss=...)`, `add_loss` or a method `compute_loss`."
    )


def to_tensors(nest: Any, floats: str) -> Any:
    """Convert the arrays of a nest to tensors.

    Args:
        nest: Arrays, tensors and None, in lists, tuples and dicts.
        floats: The dtype for arrays of any float type, as in Keras.
    """

    def tensor(leaf: Any) -> tf.Tensor | None:
        if leaf is None or tf.is_tensor(leaf):
            return leaf
        array = np.asarray(leaf)
        if np.issubdtype(array.dtype, np.floating):
            array = array.astype(floats)
        return tf.convert_to_tensor(array)

    return tf.nest.map_structure(tensor, nest)


def model_loss(model: Any, batch: list[Any], training: bool) -> tf.Tensor:
    """Compute the loss of a batch as the model's `fit` does, float32 `[]`.

    Args:
        model: A compiled Keras model.
        batch: Inputs, targets and weights of the examples, as tensors or None.
        training: The mode: training or inference.

    Raises:
        ValueError: If the model has no loss.
    """
    x, y, sample_weight = batch
    mode = {"training": training}
    # A `call` without this argument would refuse it.
    takes_mode = getattr(model, "_call_has_training_arg", True)
    outputs = model(x, **(mode if takes_mode else {}))
    method = type(model).compute_loss
    # A method of the user may make a loss of the outputs although neither
    # `compile` nor `add_loss` was given one.
    is_of_user = method.__module__.split(".")[0] not in ("keras", "tf_keras")
    if not (model.loss or model.losses or is_of_user):
        raise ValueError(_no_loss(model))
    # While gradscope observes a model, a replacement of this method counts the
    # training steps, and this is none.
    replacement = same_signature.replacement_of(vars(model).get("compute_loss"))
    compute = getattr(replacement, "original", model.compute_loss)
    # The `compute_loss` of tf_keras has no such argument. A replacement has
    # any, so the method of the class is asked.
    takes_mode = "training" in inspect.signature(method).parameters
    loss = compute(x, y, outputs, sample_weight, **(mode if takes_mode else {}))
    return tf.cast(loss, tf.float32)


def _variable_handles(model: Any) -> list[tf.Tensor]:
    """List the handles of all variables that a model and Keras track."""
    objects = tf.train.TrackableView(model).descendants()
    objects += model.variables
    objects += [v for metric in model.metrics for v in metric.variables]
    if _keras_seeds() is not None:
        objects.append(_keras_seeds().state)
    if stateful_random_ops.global_generator is not None:
        objects.append(stateful_random_ops.global_generator.state)
    handles = {}
    for variable in objects:
        if hasattr(variable, "path") and hasattr(variable, "assign"):
            variable = variable.value  # the `tf.Variable` of Keras 3's variable
        is_replicated = isinstance(variable, tf.distribute.DistributedValues)
        # Each replica has a variable of its own, with a handle of its own.
        for copy in variable.values if is_replicated else [variable]:
            if isinstance(copy, tf.Variable):
                handles[id(copy)] = copy.handle
    return list(handles.values())


@contextlib.contextmanager
def _restore_variables(tensors: list[tf.Tensor]) -> Iterator[None]:
    """Restore the values of variables at the end of the context.

    To read a variable makes no copy; TensorFlow copies it only if it is written
    to while the value is in use.

    Args:
        tensors: Handles of variables; others are ignored.
    """
    values = []
    for handle in tensors:
        if handle.dtype != tf.resource:
            continue
        # Has no public name: dtype and shape of the variable behind a handle.
        data = handle._handle_data
        # Tables and iterators are resources, too.
        if data is None or len(data.shape_and_type) != 1:
            continue
        if tf.raw_ops.VarIsInitializedOp(resource=handle):
            dtype = tf.as_dtype(data.shape_and_type[0].dtype)
            value = tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype)
            values.append((handle, value))
    try:
        yield
    finally:
        for handle, value in values:
            tf.raw_ops.AssignVariableOp(resource=handle, value=value)


@contextlib.contextmanager
def restore_generators() -> Iterator[None]:
    """Remove global generators of Keras and TensorFlow that the context made.

    Both create one when a model first asks for it. The state of a generator
    that existed before is a variable, which is restored as such.
    """
    seeds, python = _keras_seeds(), random.getstate()
    generator = stateful_random_ops.global_generator
    try:
        yield
    finally:
        if seeds is None and _keras_seeds() is not None:
            # Keras takes its seed from Python's generator, and will again.
            _keras_state().pop(_KERAS_SEEDS)
            random.setstate(python)
        stateful_random_ops.global_generator = generator


@contextlib.contextmanager
def _use_other_eager_seeds() -> Iterator[None]:
    """Give eager random operations seeds that training does not use.

    Restoring the generator of these seeds is not enough. TensorFlow reuses a
    kernel for the same seed, and the kernel continues its count.
    """
    eager = context.context()
    generator = getattr(eager, "_rng", None)  # None before `set_seed`
    if generator is not None:
        # A copy, since a draw from the generator itself would change the next
        # seeds of training.
        other = random.Random()
        other.setstate(generator.getstate())
        eager._rng = random.Random(f"gradscope {other.random()}")
    try:
        yield
    finally:
        if generator is not None:
            eager._rng = generator


def _keras_state() -> dict[str, Any]:
    # Looked up and not imported: a program with tf_keras alone does not load
    # Keras 3.
    module = sys.modules.get("keras.src.backend.common.global_state")
    return {} if module is None else vars(module.GLOBAL_STATE_TRACKER)


def _keras_seeds() -> Any:
    return _keras_state().get(_KERAS_SEEDS)


@contextlib.contextmanager
def restore_layers(model: Any, library: str) -> Iterator[None]:
    """Restore the attributes that layers set when they are called.

    A trace would leave symbolic tensors of its graph in them, which cannot be
    evaluated later.

    Args:
        model: A Keras model.
        library: `"keras"` or `"tf_keras"`.
    """
    layers = list(model._flatten_layers())
    attributes_before = [dict(vars(layer)) for layer in layers]
    collected = [
        (items, type(items)(items))
        for layer in layers
        for items in (getattr(layer, name) for name in _COLLECTED[library])
    ]
    # In tf_keras each traced random operation takes a new seed from these.
    generators: list[Any] = [
        getattr(x, "_random_generator", None) for x in layers
    ]
    seeds = [getattr(g, "_seed", None) for g in generators]
    try:
        yield
    finally:
        for layer, before in zip(layers, attributes_before, strict=True):
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


def _is_symbolic(value: Any) -> bool:
    return bool(tf.is_tensor(value) and tf.is_symbolic_tensor(value))
