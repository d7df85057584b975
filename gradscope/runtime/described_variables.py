"""Variables of an optimizer with their descriptions, to be handed on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from gradscope.format.schema import Variable
from gradscope.runtime import tf_variables


@dataclasses.dataclass(frozen=True)
class DescribedVariables:
    """Variables, and how the record describes them.

    A name depends on all variables that are described together. So they are
    described once, and everything that names a layer uses these descriptions.

    Attributes:
        variables: Keras variables or `tf.Variable`s, in the order of the
            record's rows.
        rows: Their descriptions, in the same order.
    """

    variables: Sequence[Any]
    rows: tuple[Variable, ...]

    @classmethod
    def of(cls, variables: Sequence[Any]) -> DescribedVariables:
        """Describe variables, in their order."""
        return cls(variables, tf_variables.describe(list(variables)))

    def in_forward_order(self, graph: tf.Graph | None) -> DescribedVariables:
        """Sort by the order in which a graph reads them; the names stay."""
        order = tf_variables.forward_order(list(self.variables), graph)
        return DescribedVariables(
            [self.variables[index] for index in order],
            tuple(self.rows[index] for index in order),
        )

    def describe_beside(self, further: Sequence[Any]) -> tuple[Variable, ...]:
        """Describe further variables, named as in one list with these."""
        together = tf_variables.describe([*self.variables, *further])
        return together[len(self.variables) :]
