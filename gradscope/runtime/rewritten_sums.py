"""Keeps TensorFlow from adding up sums of large programs in any order.

TensorFlow's memory optimizer (part of grappler) rewrites a sum of three and
more tensors of known shape, such as the gradient of a tensor that three
operations read. The sum becomes a temporary variable, to which each term is
added as soon as it is computed, so in any order, and the last bit of the sum
depends on the order. Rewritten are sums that are alive at the estimated peak of
memory, if that peak is above 80 % of the device's memory; a CPU counts as
256 MiB.

The tensors that gradscope reads change that estimate. So a program that has
operations of gradscope's is called under an option that turns off this
rewriting alone: a program without such a sum gets none from gradscope. The
option belongs to the call; other programs are called as before.
"""

from __future__ import annotations

import contextlib
import functools
import math
import threading
import warnings
import weakref
from collections.abc import Callable

import tensorflow as tf

# None has a public name: the callbacks that run after a function was traced,
# the options of a function's call, and whether the user collects graphs.
from tensorflow.python.eager import context
from tensorflow.python.eager.polymorphic_function import transform
from tensorflow.python.ops import summary_ops_v2

from gradscope.errors import GradscopeWarning
from gradscope.runtime import versions

_Rewrites = type(tf.compat.v1.ConfigProto().graph_options.rewrite_options)

#: Levels that rewrite sums. By default TensorFlow also moves tensors from a
#: GPU to the host where memory is short; that changes no bit, and stays on.
_REWRITING = (_Rewrites.DEFAULT_MEM_OPT, _Rewrites.SCHEDULING_HEURISTICS)

#: Type of the operation that replaces a sum, and the suffix of its name, which
#: begins with the sum's.
_TEMPORARY, _SUFFIX = "TemporaryVariable", "/tmp_var"

#: Bytes at the estimated peak, on the smallest device, above which TensorFlow
#: rewrites. A program whose tensors have fewer in total need not be watched.
_LEAST = 0.8 * 2**28

#: Graphs of functions that are called without rewriting.
_ordered: weakref.WeakSet = weakref.WeakSet()

#: Callbacks that get the names of rewritten sums, by graphs of functions.
_reports: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def keep_order(graphs: list[tf.Graph]) -> None:
    """Turn off the rewriting for functions that are being traced.

    gradscope reads no term of a sum, but what it reads changes the estimate. Of
    a loop with weights of 4 and 32 MB, the plain program has a rewritten sum
    from 67 MB of other tensors on; the recording program has none up to 180 MB.
    Without this option, a larger recording program would have rewritten sums
    and not repeat its bits (`test_sums.py`).

    Args:
        graphs: Graphs of the functions, the outermost first.
    """
    _listen()
    _ordered.update(filter(_is_function, graphs))


def watch(graphs: list[tf.Graph], report: Callable[[list[str]], None]) -> None:
    """Report the rewritten sums of a function that is being traced.

    Args:
        graphs: As for `keep_order`; the outermost function is watched.
        report: Called with the sums' names, once, after the function's first
            call; not called if no sum was rewritten.
    """
    functions = list(filter(_is_function, graphs))
    if functions:
        _listen()
        _reports[functions[0]] = report


def sums_in_order() -> None:
    """Make TensorFlow add up all sums in order, in this process, from now on.

    TensorFlow adds the terms of some sums of large programs in any order, so
    that such a training gives other bits from run to run; see
    docs/reliability.md. Call this where the program begins, before any
    `tf.function` is called. The last bit of the results of such programs
    changes, and their peak of memory grows by some terms of a sum at most.
    """
    settings = context.context()
    config = tf.compat.v1.ConfigProto()
    if settings._config is not None:
        config.CopyFrom(settings._config)
    rewrites = config.graph_options.rewrite_options
    rewrites.memory_optimization = _Rewrites.SWAPPING_HEURISTICS
    settings._config = config
    # This thread's options hold the old configuration; None makes new ones.
    settings.function_call_options = None


def _is_function(graph) -> bool:
    # The outermost graph may be an ordinary one.
    return hasattr(graph, "outer_graph")


def _listen() -> None:
    if _replace_context not in transform.CONCRETE_FUNCTION_CALLBACKS:
        transform.CONCRETE_FUNCTION_CALLBACKS.append(_replace_context)


def _replace_context(function) -> None:
    """Replace the context in which a traced function is called.

    TensorFlow calls this with every function that it has traced.
    """
    try:
        called, graph = function.inference_fn, function.graph
        report = _reports.pop(graph, None)
        graphs = _graphs(called)
        # A function that was traced before may be called by another one.
        if any(g in _ordered for g in graphs):
            called._bound_context = _InOrder(called._bound_context)
        elif report is not None and sum(map(_size, graphs)) > _LEAST:
            called._bound_context = _Watching(called._bound_context, report)
    except Exception as error:  # it would end the user's training
        _warn(error)


def _graphs(function) -> list:
    """Graphs of a function and of all functions that it calls."""
    functions = [function]
    # The list grows meanwhile, by the children of children.
    for called in functions:
        functions += [c for c in called.children if c not in functions]
    # A function that was loaded has no graph yet, and making one takes long.
    graphs = [f._cached_graph for f in functions]
    return [graph for graph in graphs if graph is not None]


def _size(graph) -> int:
    """Bytes of all tensors of a graph, as TensorFlow estimates them: an unknown
    size counts as 1."""
    return sum(
        tensor.dtype.size
        * math.prod(size or 1 for size in tensor.shape.as_list())
        for operation in graph.get_operations()
        for tensor in operation.outputs
        if tensor.shape.rank is not None
    )


class _InOrder:
    """TensorFlow's context for the calls of one function, without rewriting."""

    def __init__(self, original):
        self._original = original

    def __getattr__(self, name: str):
        return getattr(self._original, name)

    @property
    def function_call_options(self) -> context.FunctionCallOptions:
        """Options of a call in the graph of another function."""
        return _without_rewriting(self._original.function_call_options)

    def call_function(self, *arguments):
        options = self._original.function_call_options
        self._original.function_call_options = _without_rewriting(options)
        try:
            return self._original.call_function(*arguments)
        finally:
            self._original.function_call_options = options


def _without_rewriting(options):
    """Copy a call's options, and turn off the rewriting of sums in them."""
    return _make_options(options.executor_type, options.config_proto_serialized)


# Asked for in each call of a function, and nearly always the same.
@functools.lru_cache(maxsize=16)
def _make_options(executor: str | None, serialized: bytes | None):
    if serialized is None:  # nothing is rewritten at all
        return context.FunctionCallOptions(executor_type=executor)
    config = tf.compat.v1.ConfigProto.FromString(serialized)
    with_xla = config.graph_options.optimizer_options.global_jit_level > 0
    rewrites = config.graph_options.rewrite_options
    # Where XLA makes clusters by itself, the memory optimizer only runs if the
    # user's configuration asks for it.
    if rewrites.memory_optimization in _REWRITING and not with_xla:
        rewrites.memory_optimization = _Rewrites.SWAPPING_HEURISTICS
    return context.FunctionCallOptions(
        executor_type=executor, config_proto=config
    )


class _Watching:
    """TensorFlow's context for the calls of a function without operations of
    gradscope's; reports its rewritten sums after the first call."""

    def __init__(self, original, report):
        self._original = original
        self._report = report

    def __getattr__(self, name: str):
        return getattr(self._original, name)

    def call_function(self, *arguments):
        report, self._report = self._report, None
        if report is None or _user_collects():
            return self._original.call_function(*arguments)
        with _collect_names() as names:
            result = self._original.call_function(*arguments)
        if names:
            report(names)
        return result


#: Only one function at a time collects: an export takes all collected graphs.
_collecting = threading.Lock()


def _user_collects() -> bool:
    """Whether the user is tracing (`tf.summary.trace_on`)."""
    return summary_ops_v2._current_trace_context is not None


@contextlib.contextmanager
def _collect_names():
    """Collect the names of sums that are rewritten in functions which are
    called meanwhile for the first time."""
    names: list[str] = []
    # Another function's first call is being watched; this one goes unwatched
    # rather than wait for it.
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
    """Names of the sums that were rewritten."""
    return [
        node.name.removesuffix(_SUFFIX)
        for graphs in collected.function_graphs
        for node in graphs.post_optimization_graph.node
        if node.op == _TEMPORARY and node.name.endswith(_SUFFIX)
    ]


def _warn(error: Exception) -> None:
    warnings.warn(
        "gradscope cannot fix the order in which this program adds up sums: "
        f"{type(error).__name__}: {error}. Training goes on and steps are "
        "recorded, but in a network that holds hundreds of megabytes at once, "
        "weights may differ in the last bit from those without gradscope. "
        f"{versions.report_request()}",
        GradscopeWarning,
        stacklevel=2,
    )
