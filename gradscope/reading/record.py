"""`Record`: a recorded run as numpy arrays, without TensorFlow.

record = gradscope.read("logs/run")
record.steps                        # int64 [T]
record.variables                    # names of V variables, forward order
record["gradient_norm"]             # float32 [T, V]
record.by_layer("gradient_norm")    # float32 [T, L], one column a layer
record.occasional("units")          # steps [M], float32 [M, units, columns]
record.logs                         # what `fit` logged of each epoch
record.first_nonfinite()            # where NaN or infinity came from, or None
record.plot("gradient_norm")        # a figure of matplotlib, layers by steps
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from gradscope.drawing import figures
from gradscope.drawing.grid import Grid, make_grid
from gradscope.format.epoch_logs import Log
from gradscope.format.schema import OCCASIONAL, Schema
from gradscope.reading import by_layer, nonfinite, record_html, row_values

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Without `==`, which would compare arrays, and their comparison is no bool.
@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """The record of one run with T steps, V variables and L layers.

    Undefined and unrecorded numbers are NaN.

    Attributes:
        run: Name or directory of the run.
        schema: Names of all rows and columns.
        steps: int64 [T], strictly increasing. A step is the optimizer's step
            number before its update; the first is 0.
        wall_times: float64 [T], seconds since the epoch. Steps that ran on the
            device without the host have the time at which they were fetched.
        families: For each family a float32 array [T, rows, columns].
        rare: The families that only some steps have. For each family its
            steps, int64 [M], and a float32 array [M, rows, columns].
        damage: The parts of the run's files that could not be read, in
            sentences.
        logs: The losses and metrics that a `fit` with `gradscope.Callback`
            logged at the end of each epoch, in order; `step` is the number of
            the step after the epoch.
        replaced: Ids of the schemas of an earlier training in the same
            directory, all of whose steps were made again with another model.
            The record has none of them.
    """

    run: str
    schema: Schema
    steps: np.ndarray
    wall_times: np.ndarray
    families: dict[str, np.ndarray]
    rare: dict[str, tuple[np.ndarray, np.ndarray]] = dataclasses.field(
        default_factory=dict
    )
    logs: tuple[Log, ...] = ()
    damage: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Record {self.run}: {record_html.summary(self)}>"

    def _repr_html_(self) -> str:
        has_norms = "gradient_norm" in self.statistics and self.layers
        return record_html.to_html(
            self, self.grid("gradient_norm") if has_norms else None
        )

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables in forward order."""
        return self.schema.rows("variables")

    @property
    def activations(self) -> tuple[str, ...]:
        """Names of the activations in forward order."""
        return self.schema.rows("activations")

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers in forward order."""
        return self.schema.layers

    @property
    def statistics(self) -> tuple[str, ...]:
        """Names that `record[name]` accepts."""
        return tuple(n for f in self.families for n in self.schema.columns[f])

    def __getitem__(self, statistic: str) -> np.ndarray:
        """Select a statistic.

        Returns:
            float32 `[T, rows]`. The rows are variables, activations, states or
            data; a run without such rows gives `[T, 0]`. A number of the step
            as a whole, such as `loss`, is `[T]`.

        Raises:
            KeyError: If the run has no such statistic; the message lists all.
        """
        # Occasional families have steps of their own, see `occasional`.
        for family, names in self.schema.columns.items():
            values = self.families.get(family)
            if statistic not in names or family in OCCASIONAL:
                continue
            if values is not None:
                column = values[:, :, names.index(statistic)]
                return column[:, 0] if family == "run" else column
            if not self.schema.rows(family):
                return np.zeros([len(self.steps), 0], np.float32)
        raise KeyError(
            f"no statistic {statistic!r} in {self.run}. Choose one of "
            f"{', '.join(self.statistics)}."
        )

    def occasional(self, family: str) -> tuple[np.ndarray, np.ndarray]:
        """Select a family that only some steps have.

        Args:
            family: `"units"` (rows are `record.schema.rows("units")`, columns
                `gradscope.format.columns.UNIT_COLUMNS`), `"operations"`,
                `"sketch"` (likewise) or `"probe"` (one row).

        Returns:
            Its steps, int64 `[M]`, and its values, float32 `[M, rows,
            columns]`. M is 0 if the run does not have the family.

        Raises:
            KeyError: If no such family exists.
        """
        if family not in OCCASIONAL:
            raise KeyError(
                f"{family!r} is not a family that only some steps have. Choose "
                f"one of {', '.join(OCCASIONAL)}."
            )
        no_values = np.zeros(
            [0, len(self.schema.rows(family)), len(OCCASIONAL[family])],
            np.float32,
        )
        return self.rare.get(family, (np.zeros(0, np.int64), no_values))

    def by_layer(self, statistic: str) -> np.ndarray:
        """Combine a statistic of variables by layer.

        See `gradscope.reading.by_layer` for how each statistic is combined.

        Returns:
            float32 `[T, L]`, one column a layer.

        Raises:
            KeyError: If `statistic` is not a statistic of variables.

        Examples:
            >>> import keras, numpy
            >>> import gradscope
            >>> optimizer = gradscope.wrap(keras.optimizers.SGD(), "logs/run")
            >>> layer = keras.layers.Dense(1, name="dense")
            >>> layer.build((None, 1))
            >>> gradients = [numpy.array([[3.0]]), numpy.array([4.0])]
            >>> optimizer.apply(gradients, layer.trainable_variables)
            >>> record = gradscope.read("logs/run")
            >>> record.variables, record["gradient_norm"].tolist()
            (('dense/kernel', 'dense/bias'), [[3.0, 4.0]])
            >>> record.layers, record.by_layer("gradient_norm").tolist()
            (('dense',), [[5.0]])
        """
        return by_layer.by_layer(self, statistic)

    def first_nonfinite(self) -> nonfinite.NonFinite | None:
        """Find the first number that became NaN or infinite.

        Returns:
            Its kind, row and step, with a message that explains it; None if
            all numbers are finite. See `gradscope.reading.nonfinite`.
        """
        return nonfinite.first_nonfinite(self)

    def plot(
        self,
        statistic: str = "gradient_norm",
        kind: str | None = None,
        *,
        rows: str = "layers",
        domain: tuple[float, float] | None = None,
        ax: Axes | None = None,
    ) -> Figure:
        """Draw a statistic with matplotlib, in the page's colours and scales.

        Args:
            statistic: Name of the statistic, one of `statistics`.
            kind: `"heatmap"` (rows by steps), `"curves"` (a curve for each
                row) or `"depth"` (the statistic from the input to the output,
                a curve for each of some steps). By default a heatmap, and
                curves for a number of the whole step, such as `loss`.
            rows: `"layers"` or `"variables"`. Activations and others have rows
                of their own.
            domain: Ends of the colours' scale; those of the page by default.
            ax: Where to draw; a figure of its own by default.

        Raises:
            KeyError: If the run has no such statistic; the message lists all.
            ModuleNotFoundError: If matplotlib is not installed.
            ValueError: If an argument has no such choice.
        """
        grid = self.grid(statistic, rows=rows, domain=domain)
        if kind is None:
            kind = "heatmap" if self[statistic].ndim > 1 else "curves"
        return figures.plot(grid, kind, ax=ax)

    def grid(
        self,
        statistic: str,
        *,
        rows: str = "layers",
        domain: tuple[float, float] | None = None,
    ) -> Grid:
        """Select a statistic with its labels and its scale, to draw it.

        Args:
            statistic, rows, domain: As of `plot`.

        Raises:
            KeyError: If the run has no such statistic; the message lists all.
            ValueError: If an argument has no such choice.
        """
        if rows not in ("layers", "variables"):
            raise ValueError(
                f"`rows` must be 'layers' or 'variables'; got {rows!r}."
            )
        names, values = row_values.values_of(self, statistic, rows)
        missing = row_values.missing_of(self, statistic, rows)
        sizes = row_values.sizes_of(self, statistic, rows)
        return make_grid(
            statistic,
            names,
            self.steps,
            values,
            missing=missing,
            sizes=sizes,
            domain=domain,
        )
