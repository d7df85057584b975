"""Hands scalars, findings and the report of a run to other tools.

Each tool has a module, which is imported only if it is asked for.
"""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from gradscope.errors import GradscopeWarning

#: The tools that are known by name, each a module of this package.
TOOLS = ("wandb", "mlflow", "clearml", "trackio", "swanlab")


class Mirror(Protocol):
    """What `Callback(mirror=)` takes besides the name of a tool.

    If there is a method `log_report(html)`, it gets the page of the run, as
    `gradscope report` writes it, after the findings.
    """

    def log_scalars(self, step: int, numbers: Mapping[str, float]) -> None:
        """Take the scalars of a recorded step, by tag."""

    def log_findings(
        self, step: int, text: str, counts: Mapping[str, float]
    ) -> None:
        """Take the findings at the end of a `fit`.

        Args:
            step: The optimizer's step number.
            text: Markdown; empty without findings.
            counts: Numbers of findings by tag.
        """


class Mirrors:
    """Hands on what is written; a failure is one warning, and the end.

    Args:
        tools: Names of `TOOLS`, or objects with the methods of `Mirror`.
    """

    def __init__(self, tools: Any):
        if tools is None:
            tools = ()
        elif isinstance(tools, str) or hasattr(tools, "log_scalars"):
            tools = (tools,)
        self._mirrors = [_mirror(tool) for tool in tools]

    def __bool__(self) -> bool:
        return bool(self._mirrors)

    def log_scalars(
        self, points: Iterable[tuple[int, Mapping[str, float]]]
    ) -> None:
        """Hand on scalars `(step, numbers by tag)`."""
        for step, numbers in points:
            defined = {t: n for t, n in numbers.items() if math.isfinite(n)}
            if defined:
                self._call("log_scalars", step, defined)

    def log_findings(
        self, step: int, text: str, counts: Mapping[str, float]
    ) -> None:
        """Hand on findings, see `Mirror.log_findings`."""
        self._call("log_findings", step, text, counts)

    @property
    def take_report(self) -> bool:
        """Whether one of them takes a report."""
        return any(hasattr(mirror, "log_report") for mirror in self._mirrors)

    def log_report(self, html: str) -> None:
        """Hand on a report to those that take one."""
        self._call("log_report", html)

    def _call(self, method: str, *arguments: Any) -> None:
        # A copy, since a tool that fails is taken out of the list.
        for mirror in list(self._mirrors):
            if not hasattr(mirror, method):
                continue
            try:
                getattr(mirror, method)(*arguments)
            except Exception as error:
                self._mirrors.remove(mirror)
                name = type(mirror).__name__
                warnings.warn(
                    f"gradscope stops mirroring to {name}: {error!r}. Training "
                    "and its record go on. Check that the tool's run has begun "
                    "and has not ended, or remove `mirror=`.",
                    GradscopeWarning,
                    stacklevel=2,
                )


def _mirror(tool: Any) -> Mirror:
    if hasattr(tool, "log_scalars") and hasattr(tool, "log_findings"):
        mirror: Mirror = tool
        return mirror
    if tool not in TOOLS:
        raise ValueError(
            f"`mirror` must be of {', '.join(map(repr, TOOLS))}, or an object "
            f"with `log_scalars` and `log_findings`, or a list of these, got "
            f"{tool!r}."
        )
    try:
        module = importlib.import_module(f"gradscope.mirroring.{tool}_mirror")
    except ImportError as error:
        raise ImportError(
            f"`mirror={tool!r}` needs the package {tool}: {error}. Install it, "
            "or remove `mirror=`."
        ) from error
    made: Mirror = module.create()
    return made
