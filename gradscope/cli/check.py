"""Subcommand `check`: compares both modes of a saved model, by its loss."""

from __future__ import annotations

import argparse
import json
import os
from typing import TYPE_CHECKING

import numpy as np

import gradscope
from gradscope.terminal import printable

if TYPE_CHECKING:
    import keras

_HELP = """Computes the loss of a saved model on one batch in training and in
inference mode, and says which layer makes the gap and how many further updates
of the moving statistics would close it. The file stays as it is. TensorFlow is
needed.

exit codes: 0 the model was checked; 1 with --exit-code, if one loss is more
than twice the other; 2 the model or the batch could not be read."""

#: Names of arrays in the file of a batch.
_PARTS = ("x", "y", "sample_weight")


def add(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand to the parser."""
    parser = commands.add_parser(
        "check",
        help="compare training and inference mode of a saved model",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model", metavar="MODEL", help="file that model.save wrote (.keras)"
    )
    parser.add_argument(
        "batch",
        metavar="BATCH",
        help="file that np.savez wrote: x and y (x/NAME for each of several "
        "inputs), sample_weight if there is one",
    )
    parser.add_argument(
        "--loss",
        metavar="NAME",
        help="loss of a model that was saved without one, as in mse",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--exit-code",
        action="store_true",
        help="exit with 1 if there is a gap, for scripts",
    )
    parser.set_defaults(run_command=run)


def run(options: argparse.Namespace) -> int:
    """Check a model, print the result, and return the exit code."""
    batch = read_batch(options.batch)
    # Looked at before TensorFlow is loaded, which takes long.
    if not os.path.exists(options.model):
        raise FileNotFoundError(
            f"there is no model {options.model}. Give the file that "
            "`model.save(...)` wrote."
        )
    # `gradscope.check` is imported here, which needs TensorFlow.
    try:
        check = gradscope.check
    except ModuleNotFoundError as error:
        raise ValueError(str(error)) from error
    model = _load_model(options.model)
    if options.loss:
        model.compile(loss=options.loss)
    result = check(model, **batch)
    text = json.dumps(result.to_dict(), indent=1, allow_nan=False)
    print(text if options.json else result)
    return int(options.exit_code and result.has_gap)


def _load_model(path: str) -> keras.Model:
    """Load a model that Keras saved, or say why that fails."""
    import keras

    try:
        return keras.saving.load_model(path)
    # Keras raises these of a file that it cannot read, and of classes that it
    # does not know.
    except (OSError, TypeError, ValueError) as error:
        # The error may quote names from the file.
        lines = (printable(line) for line in str(error).splitlines())
        reason = "\n".join(lines)
        raise ValueError(
            f"{path} cannot be loaded: {reason}\nA model with classes of your "
            "own is checked in Python: load it with custom_objects=..., and "
            "call gradscope.check(model, x, y)."
        ) from error


def read_batch(path: str) -> dict[str, np.ndarray | dict[str, np.ndarray]]:
    """Read a batch from a file that `np.savez` wrote.

    Returns:
        Arrays by name: `x`, `y` and `sample_weight`. Several inputs are a dict
        of arrays by the name of the input.

    Raises:
        ValueError: If the file is not such an archive, holds other arrays, or
            has no `x`.
    """
    # A pickle runs code when it is loaded, and the file may come from somebody
    # else.
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    batch: dict = {}
    for name, array in arrays.items():
        part, _, input_name = name.partition("/")
        if part not in _PARTS:
            raise ValueError(
                f"{path} has an array {name!r}; a batch has x, y and "
                "sample_weight, or x/NAME for each of several inputs. Write "
                "it with np.savez(path, x=..., y=...)."
            )
        if input_name:
            batch.setdefault(part, {})[input_name] = array
        else:
            batch[part] = array
    if "x" not in batch:
        raise ValueError(
            f"{path} has no inputs: it needs an array x. Write it with "
            "np.savez(path, x=..., y=...)."
        )
    return batch
