"""The command line of the examples: options, seeds and printed results."""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import shutil
import sys
import time
from collections.abc import Callable, Mapping


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a variant of an example.

    Attributes:
        logdir: Directory of its run.
        data: `"digits"` or `"mnist"`.
        seed: Seed of all random numbers.
    """

    logdir: str
    data: str = "digits"
    seed: int = 0


#: A function from options to the numbers to print, by name.
Train = Callable[[Options], Mapping[str, float]]


def main(
    file: str,
    story: str,
    variants: Mapping[str, Train],
    then: Callable[[Options], None] | None = None,
) -> None:
    """Run the command line of an example.

    Args:
        file: Its `__file__`.
        story: Its docstring.
        variants: Functions that train a variant, by name.
        then: Called after all variants are trained; its `logdir` has one
            directory for each of them.
    """
    name = pathlib.Path(file).stem
    options = _parser(story, variants).parse_args()
    print(story.splitlines()[0])
    for variant in [options.variant] if options.variant else variants:
        run = os.path.join(options.logdir, name, variant)
        chosen = Options(run, options.data, options.seed)
        try:
            numbers, seconds = train(variants[variant], chosen)
        except ConnectionError as error:
            sys.exit(f"{name}: {error}")
        told = ", ".join(f"{k} {v:.3g}" for k, v in numbers.items())
        print(f"\n{name}, {variant}: {told} ({seconds:.0f} s)")
        print(findings(run), flush=True)
    if then is not None and not options.variant:
        parent = os.path.join(options.logdir, name)
        then(Options(parent, options.data, options.seed))
    print(f"\nNext: tensorboard --logdir {options.logdir}, tab Gradscope")


def train(variant: Train, options: Options) -> tuple[dict, float]:
    """Train a variant anew, and return its numbers and the seconds."""
    import keras

    # The run of an earlier call; a record would go on in its directory.
    shutil.rmtree(options.logdir, ignore_errors=True)
    keras.utils.set_random_seed(options.seed)
    start = time.perf_counter()
    numbers = dict(variant(options))
    return numbers, time.perf_counter() - start


def findings(run: str) -> str:
    """Diagnose a run, and return its findings as text."""
    import gradscope

    found = gradscope.diagnose(run)
    return "\n".join(f"  {f.severity}: {f.message}" for f in found) or (
        "  nothing is wrong"
    )


def _parser(story: str, variants) -> argparse.ArgumentParser:
    from gradscope_examples.data import NAMES

    parser = argparse.ArgumentParser(
        description=story,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--variant", choices=variants, help="default: all")
    parser.add_argument("--logdir", default="logs")
    parser.add_argument("--data", choices=NAMES, default="digits")
    parser.add_argument("--seed", type=int, default=0)
    return parser
