"""What TensorBoard finds through the entry point `gradscope`.

An exception while this module is imported, or in `fix_flags`, would end the
whole `tensorboard` command: so this module imports next to nothing, and no
method raises.
"""

from __future__ import annotations

import logging

from tensorboard.plugins import base_plugin

logger = logging.getLogger(__name__)

NAME = "gradscope"

#: Records that TensorBoard keeps of each run by default. It would keep 100
#: random ones (10 without its data server), mostly without the first steps,
#: where vanishing gradients show.
SAMPLES = 5000


class Loader(base_plugin.TBLoader):
    """Loads the plugin, or leaves TensorBoard without it."""

    def fix_flags(self, flags):
        """Keeps enough records, unless the user chose a number for us.

        `tensorboard --samples_per_plugin=gradscope=0` keeps all.
        """
        try:
            flags.samples_per_plugin.setdefault(NAME, SAMPLES)
        except Exception:
            logger.warning("gradscope: cannot set samples", exc_info=True)

    def load(self, context):
        """Returns the plugin, None if it cannot work here.

        Args:
            context: TensorBoard's `TBContext`.
        """
        if context.data_provider is None:
            return None
        try:
            from gradscope_plugin import plugin

            return plugin.GradscopePlugin(context)
        except (Exception, SystemExit):
            logger.warning("gradscope: not available", exc_info=True)
            return None


LOADER = Loader()
