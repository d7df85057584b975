"""The interface of a kind of optimizer, and how to add one."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import tensorflow as tf

from gradscope.wrapping.optimizers.seam import Seam


@runtime_checkable
class OptimizerKind(Protocol):
    """A kind of optimizer: which optimizers are of it, and how to observe them.

    A module with these names is a kind, and so is an object.

    How to add a kind of optimizer:

    1. Describe one call of the method that applies gradients, as a `Call`.
       Where gradients are applied as they were passed, `Call` itself will do.
       Otherwise a subclass of `Call` tells how they are summed over replicas
       (`run`, `reduced_gradients`), accumulated (`accumulators`, `applies`,
       `applied_gradients`) and clipped (`clipped_gradients`), and which
       `learning_rate` and `loss_scale` there are.
    2. Write a subclass of `Seam` with the name of the `method`, and with
       `call`, which gets the arguments of the method and returns the `Call`.
       `current_step` reads the optimizer's count of steps on the host. What
       else may be overridden stands in the docstring of `Seam`.
    3. Write a module with the six names below, and add it to `kinds.KINDS`. No
       other code knows the names of kinds.
    4. Prove it. `tests/wrapping/optimizers/test_toy_kind.py` adds a kind and
       compares its bits, its values, and what `unwrap` gives back; then name
       it in README's table "Where it works".
    """

    @property
    def NAME(self) -> str:
        """Name of the kind, which completes "an optimizer of ..."."""

    @property
    def SEAM(self) -> type[Seam]:
        """The class of the seam of one optimizer."""

    def is_supported(self, optimizer: Any) -> bool:
        """Return whether an object is an optimizer of this kind.

        Called with any object, and before the kind's package was imported.
        """

    def innermost(self, optimizer: Any) -> Any:
        """The optimizer to observe: the one inside of a loss scale, or
        itself."""

    def strategy(self, optimizer: Any) -> tf.distribute.Strategy | None:
        """The `tf.distribute.Strategy` of an optimizer; None without one."""

    def unsupported(self, optimizer: Any) -> str | None:
        """Explain why an optimizer cannot be observed; None if it can be.

        Returns:
            The end of a sentence that begins "gradscope cannot observe this
                optimizer:", with a remedy and without the last full stop.
        """
