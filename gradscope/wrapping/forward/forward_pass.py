"""The tensors of a step's forward pass, sorted by their role."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from gradscope.format.schema import (
    Activation,
    Data,
    Schema,
    State,
    Variable,
    Wiring,
)
from gradscope.wrapping.forward.activations import ActivationTensors
from gradscope.wrapping.forward.layer_states import LayerStateTensors
from gradscope.wrapping.forward.nan_suspects import Suspects

#: Entry of `ForwardPass.unseen` where the loss is unknown.
NO_LOSS = "the loss: the model's `train_step` does not call `compute_loss`"


@dataclasses.dataclass
class ForwardPass:
    """The tensors of one step's forward pass.

    Attributes:
        activations: Activations in forward order.
        states: Layers that drop units or keep a state, in forward order.
        data: Inputs, targets and outputs by name.
        loss: Loss in training mode, a scalar; None where it is unknown.
        loss_is_computed: Whether the step computes its loss in any case. Of a
            loss that nobody asks for, TensorFlow computes only what the
            gradients need.
        unseen: Names of the parts that cannot be observed.
        find_linear_chains: Finds pairs of kernels, see `linear_chains.find`.
        find_odd_wiring: Finds likely mistakes, see `odd_wiring.find`.
        suspects: Operations that may make NaN; None without any.
    """

    activations: dict[Activation, ActivationTensors] = dataclasses.field(
        default_factory=dict
    )
    states: dict[State, LayerStateTensors] = dataclasses.field(
        default_factory=dict
    )
    data: dict[str, tf.Tensor] = dataclasses.field(default_factory=dict)
    loss: tf.Tensor | None = None
    unseen: tuple[str, ...] = ()
    find_linear_chains: Callable[[], list[tuple]] = list
    find_odd_wiring: Callable[[], list[Wiring]] = list
    suspects: Suspects | None = None
    loss_is_computed: bool = True

    def schema(
        self,
        variables: Sequence[Variable],
        optimizer: dict,
        before: Schema | None,
    ) -> Schema:
        """Make a schema with the rows of this step and of those before it.

        Args:
            variables: Descriptions of all variables.
            optimizer: JSON description of the optimizer.
            before: Schema of the steps so far.
        """
        previous = before or Schema(())
        return Schema(
            tuple(variables),
            optimizer,
            activations=_join_rows(previous.activations, self.activations),
            states=_join_rows(previous.states, self.states),
            data=previous.data + self._new_data(previous),
            operations=_union(
                previous.operations,
                self.suspects.operations if self.suspects else (),
            ),
            unseen=tuple(
                name
                for name in _union(previous.unseen, self.unseen)
                # A loss that was found since is not unseen any more.
                if name != NO_LOSS or self.loss is None
            ),
            loss_is_known=bool(previous.loss_is_known) or self.loss is not None,
        )

    def _new_data(self, schema: Schema) -> tuple[Data, ...]:
        """Rows of the data that a schema does not have.

        A name has one row for all shapes: the lengths of sentences differ.
        """
        names = schema.rows("data")
        return tuple(
            _describe(n, t) for n, t in self.data.items() if n not in names
        )

    def forget_operations(self) -> None:
        """Free the operations of the graph, which hold all of its tensors."""
        # Called without arguments, `list` finds nothing.
        self.find_linear_chains = list
        self.find_odd_wiring = list

    def tensors(self) -> list[tf.Tensor]:
        """List all tensors, without those of suspects."""
        parts = [*self.activations.values(), *self.states.values()]
        tensors = [t for part in parts for t in part.tensors()]
        tensors += self.data.values()
        return tensors + ([] if self.loss is None else [self.loss])

    def with_tensors(self, tensors: list) -> ForwardPass:
        """Copy with other tensors, in the order of `tensors`."""
        remaining = iter(tensors)
        return dataclasses.replace(
            self,
            activations={
                k: a.with_tensors(remaining)
                for k, a in self.activations.items()
            },
            states={
                k: s.with_tensors(remaining) for k, s in self.states.items()
            },
            data={name: next(remaining) for name in self.data},
            loss=None if self.loss is None else next(remaining),
        )


def _describe(name: str, tensor) -> Data:
    sizes = tensor.shape.as_list()[1:] if tensor.shape.rank else []
    shape = tuple(-1 if size is None else size for size in sizes)
    return Data(name, tensor.dtype.base_dtype.name, shape)


def _join_rows(before, after) -> tuple:
    """Join two lists of rows; equal rows are joined to one."""
    rows = {row: row for row in before}
    for row in after:
        rows[row] = rows[row].join(row) if row in rows else row
    return tuple(rows.values())


def _union(*rows) -> tuple:
    return tuple(dict.fromkeys(row for part in rows for row in part))
