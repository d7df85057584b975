"""Rows of the record: a class for each kind of object that is measured."""

from __future__ import annotations

import dataclasses
import math

#: Activation functions whose units can die (output and gradient are zero), and
#: those that equal their input where it is positive: a unit that is always on
#: is linear.
DIES = ("relu", "relu6")
RISES = ("relu", "leaky_relu")

#: Most units of an activation that are counted one by one.
MOST_UNITS = 2**16

#: Most rows that an activation has in the map of units. A wider activation has
#: groups of neighbouring units, since a page has no pixel for each unit.
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
        rank: Rank of its tensor, including the axis of examples; 0 if unknown.
        axis: The axis along which a softmax adds up to 1. -1 is the last axis;
            all others are counted from 0, the axis of examples.
        is_output: Whether it is an output of the model. Always False if the
            model is not known.
    """

    name: str
    kind: str
    units: int
    dtype: str = "float32"
    # These facts may be known in one trace and unknown in another, so they do
    # not distinguish two rows.
    rank: int = dataclasses.field(default=0, compare=False)
    axis: int = dataclasses.field(default=-1, compare=False)
    is_output: bool = dataclasses.field(default=False, compare=False)

    @property
    def is_counted(self) -> bool:
        """Whether its units are counted one by one."""
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

    def join(self, other: Activation) -> Activation:
        """Combine the facts that two traces know of the same row."""
        ranked = self if self.rank else other
        is_output = self.is_output or other.is_output
        return dataclasses.replace(ranked, is_output=is_output)


@dataclasses.dataclass(frozen=True)
class State:
    """One layer that drops units or has a state besides its weights.

    Attributes:
        name: Unique in the run, as in `batch_normalization_1`.
        kind: `"dropout"`, `"batch_norm"`, or `"state"` for any other.
        size: Count of its numbers that are recorded to measure its movement.
            Batch norm has those of the moving mean, then of the variance.
        calls: Number of calls of a batch norm layer in one step with the
            statistics of a batch. A layer that two branches share, or that is
            given real and fake images in turn, has several; each call is a row
            of its own.
        layer: Name of the layer, the same in the rows of all its calls: the
            name of the first row.
    """

    name: str
    kind: str
    size: int = 0
    # As in `Activation`, these do not distinguish two rows.
    calls: int = dataclasses.field(default=1, compare=False)
    layer: str = dataclasses.field(default="", compare=False)

    def join(self, other: State) -> State:
        """Combine the facts that two traces know of the same row."""
        return dataclasses.replace(
            self,
            calls=max(self.calls, other.calls),
            layer=self.layer or other.layer,
        )


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation of the forward pass that can turn finite inputs into NaN
    or infinity.

    Attributes:
        name: Unique in the run: its layer and its type, `dense_2 (MatMul)`.
        dtype: Name of its output's dtype.
    """

    name: str
    dtype: str = "float32"


@dataclasses.dataclass(frozen=True)
class Wiring:
    """Operations connected in a way that is rarely intended; not a row.

    Attributes:
        kind: `"activation_twice"`: a loss treats the output of a softmax or
            sigmoid as logits. `"relu_logits"`: the logits of a loss come from a
            ReLU. `"broadcast"`: predictions of shape `[n, 1]` and targets of
            shape `[n]` are broadcast to `[n, n]`. `"softmax_into"`: the output
            of a softmax, which is not known to be the model's output, is used
            further. `"no_step"`: a training made no step of its optimizer.
            `"half_index"`: the index of a row of a table was a number of 16
            bits before. `"shuffled_state"`: `fit` shuffles examples between
            which a layer keeps its state. `"idle_plateau"`: a callback may
            never lower the learning rate. `"monitor"`: a callback compares a
            number of each epoch with the best one. `"norm_axis"`: a batch norm
            normalises rows, while the channels come last. `"lost_mask"`: a
            layer gets a mask and hands none on. `"masked_word"`: an embedding
            masks 0, which stands between other tokens. `"weight_of_no_class"`:
            a class weight has no examples, and a class no weight.
            `"weight_of_many"`: class weights rise with the number of examples.
        name: Name of the activation, or of the place of the operation.
        detail: The operation's type, or both shapes. For `"softmax_into"`,
            `"kernel"` if only linear operations lie between the softmax and a
            kernel, else `"other"`. For `"no_step"`, `"frozen"` if the model had
            no trained weights, else `"idle"`. For `"half_index"`, the dtype
            and the number of rows of the table. For `"idle_plateau"`, the
            learning rate and the least that the callback sets. For
            `"monitor"`, `min`, `max` or `auto`; the least change that counts;
            the patience; the epochs of rest; `alone` if no other callback
            may log numbers, else `others`; and the name of the number. For
            `"norm_axis"`, the axis and the rank. For `"lost_mask"`, a layer
            behind it that would read the mask. For `"masked_word"`, the share
            of the sequences. For `"weight_of_no_class"`, both classes. For
            `"weight_of_many"`, the share of the most frequent class, and how
            many times the examples and the weight of the rarest it has.
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
        shape: Shape of one example, without the batch axis; -1 is an unknown
            size. Empty if the shape is not known.
    """

    name: str
    dtype: str = "float32"
    shape: tuple[int, ...] = ()
