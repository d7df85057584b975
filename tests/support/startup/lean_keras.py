"""Keeps Keras from importing what it does without in the tests.

It imports matplotlib and IPython wherever they are installed: a fifth of the
CPU's time with which each process starts. All others can import them.
"""

import sys

OPTIONAL = ("IPython", "matplotlib")


class Finder:
    """Say that what is optional is missing, while Keras is being imported."""

    def find_spec(self, name, path=None, target=None):
        if name in OPTIONAL and is_being_imported("keras"):
            raise ModuleNotFoundError(f"left out by {__file__}", name=name)


def is_being_imported(name):
    spec = getattr(sys.modules.get(name), "__spec__", None)
    # Where Python has no such name any more, the tests take longer.
    return getattr(spec, "_initializing", False)


sys.meta_path.insert(0, Finder())
