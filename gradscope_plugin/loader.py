"""The entry point `gradscope`, through which TensorBoard loads the plugin.

An exception in `fix_flags`, or while this module is imported, would end the
whole `tensorboard` command. So the module imports little, and no method raises.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import tensorboard
from tensorboard.plugins import base_plugin

if TYPE_CHECKING:
    import argparse

logger = logging.getLogger(__name__)

NAME = "gradscope"

#: Records that TensorBoard keeps of each run by default. Without this it would
#: keep 100 random ones (10 without its data server), mostly without the first
#: steps, where vanishing gradients show.
SAMPLES = 5000


class Loader(base_plugin.TBLoader):
    """Loads the plugin, or leaves TensorBoard without it."""

    def fix_flags(self, flags: argparse.Namespace) -> None:
        """Make TensorBoard keep enough records, unless the user set a number.

        `tensorboard --samples_per_plugin=gradscope=0` keeps all.
        """
        try:
            flags.samples_per_plugin.setdefault(NAME, SAMPLES)
        except Exception:
            logger.warning(
                "gradscope cannot set how many recorded steps TensorBoard %s "
                "keeps of each run, so the tab may lack some. Start "
                "TensorBoard with --samples_per_plugin=%s=%d.",
                tensorboard.__version__,
                NAME,
                SAMPLES,
                exc_info=True,
            )

    def load(
        self, context: base_plugin.TBContext
    ) -> base_plugin.TBPlugin | None:
        """Load the plugin; return None if it cannot work here.

        Args:
            context: TensorBoard's `TBContext`.
        """
        if context.data_provider is None:
            return None
        try:
            from gradscope_plugin import plugin

            return plugin.GradscopePlugin(context)
        # A module may end the process where it cannot be imported, and
        # TensorBoard has other plugins.
        except (Exception, SystemExit):
            logger.warning(
                "gradscope's tab is not available in TensorBoard %s, for the "
                "reason below; the other tabs are.",
                tensorboard.__version__,
                exc_info=True,
            )
            return None


LOADER = Loader()
