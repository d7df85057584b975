"""Rows of the record: what there are numbers of."""

from __future__ import annotations

import dataclasses
import math

#: Activation functions whose units can be zero with a zero gradient, and those
#: that are as large as their input where that is large: what is on for every
#: input is linear then.
DIES = ("relu", "relu6")
RISES = ("relu", "leaky_relu")

#: Units to keep account of, of one activation. A softmax over the words of a
#: language is no ReLU, and has none.
MOST_UNITS = 2**16

#: Rows of the map of units, of one activation: a wider one is shown in groups
#: of neighbours. (64 channels of a convolution are one pixel each in a row of
#: a page; 4096 are not.)
MOST_GROUPS = 128


@dataclasses.dataclass(frozen=True)
class Variable:
    """One trainable variable.

    Attributes:
        name: Unique in the run, `<layer>/<variable>`, as in `dense_1/kernel`.
        layer: Name of the layer that owns it.
        shape: Its shape.
        dtype: Name of its dtype, as in `"float32"`.
        optimizer: Class of the part that updates it, with a number from the
            second one of a class on, as in `"Adam_1"`, where an optimizer has
            parts; `""` where it has none.
    """

    name: str
    layer: str
    shape: tuple[int, ...]
    dtype: str
    optimizer: str = dataclasses.field(default="", compare=False)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Activation:
    """One activation of the forward pass.

    Attributes:
        name: Unique in the run, as in `dense_1/relu`.
        kind: Its function, as in `"relu"`.
        units: Size of its last axis.
        dtype: Name of its dtype, as in `"float16"`.
        rank: Of its tensor, with the axis of examples; 0 where unknown.
        axis: Along which a softmax adds up to 1; -1 is the last one, others
            are counted from 0, which is that of the examples.
        is_output: Whether it is an output of the model, as far as that is
            known: a model that nobody told of has none.
    """

    name: str
    kind: str
    units: int
    dtype: str = "float32"
    # Facts about a row, which one trace may know and another may not: they do
    # not tell two rows apart.
    rank: int = dataclasses.field(default=0, compare=False)
    axis: int = dataclasses.field(default=-1, compare=False)
    is_output: bool = dataclasses.field(default=False, compare=False)

    @property
    def is_counted(self) -> bool:
        """Whether account is kept of its units."""
        return self.units <= MOST_UNITS and (
            self.kind in DIES or self.kind in RISES
        )

    @property
    def groups(self) -> tuple[tuple[int, int], ...]:
        """First and last unit of each row in the map of units."""
        if not self.is_counted:
            return ()
        width = -(-self.units // MOST_GROUPS) or 1
        return tuple(
            (first, min(first + width, self.units) - 1)
            for first in range(0, self.units, width)
        )

    @property
    def group_names(self) -> tuple[str, ...]:
        """Names of these rows, as in `dense/relu/7` or `dense/relu/8-11`."""
        return tuple(
            f"{self.name}/{first}" + (f"-{last}" if last > first else "")
            for first, last in self.groups
        )

    def joined(self, other: Activation) -> Activation:
        """Returns the same row with what either of two traces knows."""
        known = self if self.rank else other
        is_output = self.is_output or other.is_output
        return dataclasses.replace(known, is_output=is_output)


@dataclasses.dataclass(frozen=True)
class State:
    """One layer that drops units or keeps a state besides its weights.

    Attributes:
        name: Unique in the run, as in `batch_normalization_1`.
        kind: `"dropout"`, `"batch_norm"`, or `"state"` for any other.
        size: How many of its numbers are kept, to tell how far it has moved;
            of batch norm those of the moving mean, then of the variance.
        calls: Of batch norm, how often its layer was called in one step with
            statistics of a batch: shared by two branches, or given real and
            fake images in turns. Each call is a row of its own.
        layer: Name of the layer, the same in the rows of all its calls; that
            of the first one.
    """

    name: str
    kind: str
    size: int = 0
    # As those of `Activation`, these do not tell two rows apart.
    calls: int = dataclasses.field(default=1, compare=False)
    layer: str = dataclasses.field(default="", compare=False)

    def joined(self, other: State) -> State:
        """Returns the same row with what either of two traces knows."""
        return dataclasses.replace(
            self,
            calls=max(self.calls, other.calls),
            layer=self.layer or other.layer,
        )


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation of the forward pass that may be the first to return what
    is not finite.

    Attributes:
        name: Unique in the run: its layer and its type, `dense_2 (MatMul)`.
        dtype: Name of the dtype of what it returns.
    """

    name: str
    dtype: str = "float32"


@dataclasses.dataclass(frozen=True)
class Wiring:
    """Operations put together as hardly anybody means it; no row has it.

    Attributes:
        kind: `"activation_twice"`: a loss takes for logits what went through
            a softmax or sigmoid already. `"relu_logits"`: its logits come from
            a ReLU. `"broadcast"`: predictions of one column and targets of
            none make a table of both. `"softmax_into"`: what gets the output
            of a softmax that is not the model's, as far as that is known.
        name: Of the activation, or of where the operation is.
        detail: The operation's type, or both shapes; `"kernel"` if a kernel
            gets it with nothing in between but what is linear, or `"other"`.
    """

    kind: str
    name: str
    detail: str = ""


@dataclasses.dataclass(frozen=True)
class Data:
    """One input, output or target of the model.

    Attributes:
        name: Unique in the run, as in `input` or `target/age`.
        dtype: Name of its dtype, as in `"int64"`.
        shape: Of one example: without the batch axis, -1 where a size is not
            known; empty where none is.
    """

    name: str
    dtype: str = "float32"
    shape: tuple[int, ...] = ()
