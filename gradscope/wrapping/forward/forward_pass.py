"""What there is to be seen of a step's forward pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from gradscope.format.schema import Activation, Data, Schema, State
from gradscope.wrapping.forward.activations import ActivationTensors
from gradscope.wrapping.forward.layer_states import LayerStateTensors
from gradscope.wrapping.forward.nan_suspects import Suspects

#: Of `unseen`: what there is to be told of a loss that is not known.
NO_LOSS = "the loss: the model's `train_step` does not call `compute_loss`"


@dataclasses.dataclass
class ForwardPass:
    """The tensors of one step's forward pass, by what they are.

    Attributes:
        activations: In forward order.
        states: Layers that drop units or keep a state, in forward order.
        data: Inputs, targets and outputs by name.
        loss: Of training mode, a scalar; None where it is not known.
        unseen: What could not be observed, by name.
        links: Finds the pairs of variables that `linear.named` names.
        wiring: Finds what is put together in an odd way, see `wiring.find`.
        suspects: Operations that may make NaN; None where none is known.
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
    links: Callable[[], list] = list
    wiring: Callable[[], list] = list
    suspects: Suspects | None = None

    def schema(self, variables, optimizer: dict, before: Schema | None):
        """Returns the schema of steps that have this, and what others had.

        Args:
            variables: All `schema.Variable`s.
            optimizer: JSON description of the optimizer.
            before: Of the steps so far.
        """
        known = before or Schema(())
        return Schema(
            tuple(variables),
            optimizer,
            activations=_joined(known.activations, self.activations),
            states=_joined(known.states, self.states),
            data=known.data + self._data_beyond(known),
            operations=_union(
                known.operations,
                self.suspects.operations if self.suspects else (),
            ),
            unseen=tuple(
                name
                for name in _union(known.unseen, self.unseen)
                if name != NO_LOSS or self.loss is None
            ),
        )

    def _data_beyond(self, known: Schema) -> tuple[Data, ...]:
        """Returns the data that have no row yet. Of one name there is one row,
        whatever the shapes: sentences may be of all lengths."""
        names = known.rows("data")
        return tuple(
            _described(n, t) for n, t in self.data.items() if n not in names
        )

    def tensors(self) -> list[tf.Tensor]:
        """Returns all tensors but those of suspects; `with_tensors` takes as
        many."""
        parts = [*self.activations.values(), *self.states.values()]
        tensors = [t for part in parts for t in part.tensors()]
        tensors += self.data.values()
        return tensors + ([] if self.loss is None else [self.loss])

    def with_tensors(self, tensors: list) -> ForwardPass:
        """Returns the same with other tensors in their places."""
        rest = iter(tensors)
        return ForwardPass(
            {k: f.with_tensors(rest) for k, f in self.activations.items()},
            {k: s.with_tensors(rest) for k, s in self.states.items()},
            {name: next(rest) for name in self.data},
            None if self.loss is None else next(rest),
            self.unseen,
            self.links,
            self.wiring,
            self.suspects,
        )


def _described(name: str, tensor) -> Data:
    sizes = tensor.shape.as_list()[1:] if tensor.shape.rank else []
    shape = tuple(-1 if size is None else size for size in sizes)
    return Data(name, tensor.dtype.base_dtype.name, shape)


def _joined(before, after) -> tuple:
    """Returns the rows of both, each once and with what either knows."""
    rows = {row: row for row in before}
    for row in after:
        rows[row] = rows[row].join(row) if row in rows else row
    return tuple(rows.values())


def _union(*rows) -> tuple:
    return tuple(dict.fromkeys(row for part in rows for row in part))
