"""Sums that TensorFlow adds up in any order, and programs without them.

TensorFlow's memory optimizer (of grappler) rewrites a sum of three and more
tensors of known shape, such as the gradient of what three operations read. It
makes of it a temporary variable, to which each term is added as soon as it is
there, so in any order, and the last bit of the sum depends on that. It does so
where the sum is alive at the peak of memory, as it estimates that, and the peak
is above 80 % of the device's memory; a CPU counts as 256 MiB.

What gradscope reads moves that estimate. So a program that holds anything of
gradscope's is called under an option that leaves this one rewriting out: where
the program would have no such sum without gradscope, it has none with it. The
option belongs to the call alone; no other program is called in another way.
"""

from __future__ import annotations

import contextlib
import functools
import math
import threading
import warnings
import weakref

import tensorflow as tf

# Have no public name: what is called when a function was traced, the options
# under which one is called, and whether somebody else collects graphs.
from tensorflow.python.eager import context
from tensorflow.python.eager.polymorphic_function import transform
from tensorflow.python.ops import summary_ops_v2

from gradscope.errors import GradscopeWarning

_Rewrites = type(tf.compat.v1.ConfigProto().graph_options.rewrite_options)

#: Levels that rewrite sums. By default TensorFlow also moves tensors from a
#: GPU to the host where it is short of memory; that changes no bit, and stays.
_REWRITING = (_Rewrites.DEFAULT_MEM_OPT, _Rewrites.SCHEDULING_HEURISTICS)

#: What TensorFlow makes of a sum, with the name of the sum before it.
_TEMPORARY, _SUFFIX = "TemporaryVariable", "/tmp_var"

#: Bytes at the estimated peak, on the smallest device that there is, from which
#: on TensorFlow rewrites. A program all of whose tensors together have fewer is
#: not asked.
_LEAST = 0.8 * 2**28

#: Graphs of functions that are called without rewriting.
_ordered: weakref.WeakSet = weakref.WeakSet()

#: Whom to tell of the sums that are rewritten, by graphs of functions.
_asked: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def keep_order(graphs: list) -> None:
    """Has functions that are being traced be called without rewriting.

    Args:
        graphs: Of the functions, one inside of the other.
    """
    _listen()
    _ordered.update(filter(_is_function, graphs))


def ask(graphs: list, tell) -> None:
    """Asks which sums of a function are rewritten that is being traced.

    Args:
        graphs: As for `keep_order`; it is the outermost that is called.
        tell: Is called with their names, once, after the function's first
            call; not if there is none.
    """
    functions = list(filter(_is_function, graphs))
    if functions:
        _listen()
        _asked[functions[0]] = tell


def sums_in_order() -> None:
    """Has TensorFlow add up all sums in order, in this process, from now on.

    TensorFlow adds the terms of some sums of large programs in any order, and
    such a training gives other bits from run to run; see docs/reliability.md.
    Call this where the program begins, before any `tf.function` is called. It
    changes the last bit of what such programs compute, and what they need in
    memory at most by some of the terms of a sum.
    """
    own = context.context()
    config = tf.compat.v1.ConfigProto()
    if own._config is not None:
        config.CopyFrom(own._config)
    rewrites = config.graph_options.rewrite_options
    rewrites.memory_optimization = _Rewrites.SWAPPING_HEURISTICS
    own._config = config
    own.function_call_options = None  # of this thread: to be made anew


def _is_function(graph) -> bool:
    # Around all of them is a graph that is none.
    return hasattr(graph, "outer_graph")


def _listen() -> None:
    if _traced not in transform.CONCRETE_FUNCTION_CALLBACKS:
        transform.CONCRETE_FUNCTION_CALLBACKS.append(_traced)


def _traced(function) -> None:
    """Is called by TensorFlow with every function that it has traced."""
    try:
        called, graph = function.inference_fn, function.graph
        tell = _asked.pop(graph, None)
        graphs = _graphs(called)
        # A function that was traced before may be called by another one.
        if any(one in _ordered for one in graphs):
            called._bound_context = _InOrder(called._bound_context)
        elif tell is not None and sum(map(_size, graphs)) > _LEAST:
            called._bound_context = _Asking(called._bound_context, tell)
    except Exception as error:  # it would end the user's training
        _warn(error)


def _graphs(function) -> list:
    """Returns the graphs of a function and of all that it calls."""
    functions = [function]
    for one in functions:
        functions += [c for c in one.children if c not in functions]
    # One that was loaded has none, and to make it would take long.
    graphs = [one._cached_graph for one in functions]
    return [graph for graph in graphs if graph is not None]


def _size(graph) -> int:
    """Returns the bytes of all tensors of a graph, as TensorFlow estimates
    them: a size that is not known counts as 1."""
    return sum(
        tensor.dtype.size
        * math.prod(size or 1 for size in tensor.shape.as_list())
        for operation in graph.get_operations()
        for tensor in operation.outputs
        if tensor.shape.rank is not None
    )


class _InOrder:
    """Stands in for TensorFlow's context where one function is called."""

    def __init__(self, original):
        self._original = original

    def __getattr__(self, name: str):
        return getattr(self._original, name)

    @property
    def function_call_options(self):
        """What a call in the graph of another function says."""
        return _without_rewriting(self._original.function_call_options)

    def call_function(self, *arguments):
        own = self._original.function_call_options
        self._original.function_call_options = _without_rewriting(own)
        try:
            return self._original.call_function(*arguments)
        finally:
            self._original.function_call_options = own


def _without_rewriting(options):
    """Returns the options of a call with the same ones, but for sums."""
    return _changed(options.executor_type, options.config_proto_serialized)


@functools.lru_cache(maxsize=16)
def _changed(executor: str | None, serialized: bytes | None):
    if serialized is None:  # nothing is rewritten at all
        return context.FunctionCallOptions(executor_type=executor)
    config = tf.compat.v1.ConfigProto.FromString(serialized)
    with_xla = config.graph_options.optimizer_options.global_jit_level > 0
    rewrites = config.graph_options.rewrite_options
    # Where XLA makes clusters by itself, there is no memory optimizer unless
    # it is asked for.
    if rewrites.memory_optimization in _REWRITING and not with_xla:
        rewrites.memory_optimization = _Rewrites.SWAPPING_HEURISTICS
    return context.FunctionCallOptions(
        executor_type=executor, config_proto=config
    )


class _Asking:
    """Stands in for the context where a function is called that is none of
    ours, and reads at its first call what TensorFlow has made of it."""

    def __init__(self, original, tell):
        self._original = original
        self._tell = tell

    def __getattr__(self, name: str):
        return getattr(self._original, name)

    def call_function(self, *arguments):
        tell, self._tell = self._tell, None
        if tell is None or _somebody_collects():
            return self._original.call_function(*arguments)
        with _collected() as names:
            result = self._original.call_function(*arguments)
        if names:
            tell(names)
        return result


#: Graphs are collected by one at a time: what is exported is gone.
_collecting = threading.Lock()


def _somebody_collects() -> bool:
    """Returns whether the user is tracing (`tf.summary.trace_on`)."""
    return summary_ops_v2._current_trace_context is not None


@contextlib.contextmanager
def _collected():
    """Yields a list that gets the names of the sums that are rewritten in
    functions which are called meanwhile for the first time."""
    names: list[str] = []
    if not _collecting.acquire(blocking=False):
        yield names
        return
    try:
        context.enable_graph_collection()
        yield names
        names += _rewritten(context.export_run_metadata())
    finally:
        context.disable_graph_collection()
        _collecting.release()


def _rewritten(collected) -> list[str]:
    """Returns the names of the sums that were rewritten."""
    return [
        node.name.removesuffix(_SUFFIX)
        for graphs in collected.function_graphs
        for node in graphs.post_optimization_graph.node
        if node.op == _TEMPORARY and node.name.endswith(_SUFFIX)
    ]


def _warn(error: Exception) -> None:
    warnings.warn(
        "gradscope cannot have this program's sums added up in order: "
        f"{type(error).__name__}: {error}. Training goes on, and steps are "
        "recorded; of a network with hundreds of megabytes at once the last "
        "bit of weights may be another one than without gradscope. Please "
        "report this.",
        GradscopeWarning,
        stacklevel=2,
    )
