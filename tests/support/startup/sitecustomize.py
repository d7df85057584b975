"""Python imports it as it starts, where this folder is in `PYTHONPATH`."""

import lean_keras  # noqa: F401
