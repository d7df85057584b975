"""Prints what the cases of a set reach, broken and repaired, for its
docstrings:

python -m benchmarks.diagnosis.measure SET [MODULE ...]

gradscope stays out of it: it does not change a bit of a training.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Trains all cases of the modules, one after the other."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    from benchmarks.diagnosis import case

    class Bare(case.Training):
        """A training that nobody observes."""

        def fit(self, model, *arguments, **options):
            return model.fit(*arguments, **({"verbose": 0} | options))

        def wrap(self, optimizer, **options):
            return optimizer

    for chosen in case.load(sys.argv[1]):
        module = chosen.train.__module__.rpartition(".")[2]
        if sys.argv[2:] and module not in sys.argv[2:]:
            continue
        reached = []
        for broken in [True, False] if chosen.cause else [False]:
            keras.utils.clear_session()
            keras.utils.set_random_seed(chosen.options.get("seed", 0))
            training = Bare("", broken, chosen.options)
            reached.append(chosen.train(training))
        print(chosen.title, *reached, flush=True)


if __name__ == "__main__":
    main()
