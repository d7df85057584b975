"""Parses the query parameters of the routes, and makes their errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorboard import errors

from gradscope_plugin.replies import matrix
from gradscope_plugin.runs import record_parts

if TYPE_CHECKING:
    from collections.abc import Collection

    from werkzeug.wrappers import Request

    from gradscope.reading.record import Record

# The page holds a step as a float64.
_LARGEST = 2**53

# Most characters of a value, and most choices, that an error repeats.
_LONGEST = 200
_MOST_CHOICES = 50


def text(
    request: Request, name: str, choices: Collection[str] | None = None
) -> str:
    """Return a query parameter.

    Args:
        request: The request.
        name: Name of the parameter.
        choices: The values it may have; any by default.

    Raises:
        InvalidArgumentError: If it is missing or not among the choices.
    """
    value = request.args.get(name)
    if value is None:
        raise errors.InvalidArgumentError(
            f"`{name}` is missing: add `{name}=...` to the query."
        )
    if choices is not None:
        check(name, value, choices)
    return value


def number(request: Request, name: str, default: int) -> int:
    """Return a query parameter that is an integer up to 2**53.

    Raises:
        InvalidArgumentError: If it is none.
    """
    value = request.args.get(name, str(default))
    try:
        integer = int(value)
    except ValueError:
        integer = None
    if integer is None or abs(integer) > _LARGEST:
        raise errors.InvalidArgumentError(
            f"`{name}` must be an integer up to 2**53, as in `{name}=390`; "
            f"got {quote(value)}."
        )
    return integer


def check(name: str, value: str, choices: Collection[str]) -> None:
    """Raise InvalidArgumentError if a value is not among the choices."""
    if value not in choices:
        raise errors.InvalidArgumentError(
            f"`{name}` must be one of {_join(choices)}; got {quote(value)}."
        )


def check_row(name: str, value: str, record: Record, rows: str) -> None:
    """Raise NotFoundError if a value names neither a row nor a layer.

    Args:
        name: Name of the parameter.
        value: Its value.
        record: The record.
        rows: The kind of rows, a key of `matrix.ROWS`.
    """
    family, _ = matrix.ROWS[rows]
    if not record_parts.select_rows(record, value).schema.rows(family):
        raise layer_not_found(name, value, record.run)


def layer_not_found(name: str, layer: str, run: str) -> errors.NotFoundError:
    """Make the error for a layer that the run does not have."""
    return errors.NotFoundError(
        f"`{name}` must be a layer or a row of the run {quote(run)}, as listed "
        f"by `runs`; got {quote(layer)}."
    )


def run_not_found(run: str) -> errors.NotFoundError:
    """Make the error for a run that does not exist."""
    return errors.NotFoundError(
        f"no run {quote(run)} was recorded. `runs` lists all runs."
    )


def quote(value: str) -> str:
    """Quote a received value, shortened so that no reply is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _join(choices: Collection[str]) -> str:
    # Names of columns come from a file, so they may be many and long.
    names = [name[:_LONGEST] for name in list(choices)[:_MOST_CHOICES]]
    more = len(choices) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
