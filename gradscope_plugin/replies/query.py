"""Query parameters of the routes, and what is answered where they are wrong."""

from __future__ import annotations

from tensorboard import errors

from gradscope_plugin.replies import matrix
from gradscope_plugin.runs import record_parts

# A step is a float64 on its way to the page.
_LARGEST = 2**53

# Characters of a value, and number of choices, that a reply repeats.
_LONGEST = 200
_MOST_CHOICES = 50


def text(request, name, choices=None) -> str:
    """Returns a query parameter, which may be limited to some choices."""
    value = request.args.get(name)
    if value is None:
        raise errors.InvalidArgumentError(
            f"`{name}` is missing: add `{name}=...` to the query."
        )
    if choices is not None:
        check(name, value, choices)
    return value


def number(request, name, default: int) -> int:
    """Returns a query parameter that is an integer."""
    value = request.args.get(name, str(default))
    try:
        found = int(value)
    except ValueError:
        found = None
    if found is None or abs(found) > _LARGEST:
        raise errors.InvalidArgumentError(
            f"`{name}` must be an integer up to 2**53, as in `{name}=390`; "
            f"got {shown(value)}."
        )
    return found


def check(name, value, choices) -> None:
    """Refuses a value that is none of some choices."""
    if value not in choices:
        raise errors.InvalidArgumentError(
            f"`{name}` must be one of {_listed(choices)}; got {shown(value)}."
        )


def check_row(name, value, record, rows) -> None:
    """Refuses what is no row, and no layer, of these rows of a record."""
    if not record_parts.only(record, value).schema.rows(matrix.ROWS[rows][0]):
        raise no_layer(name, value, record.run)


def no_layer(name, layer, run):
    """Returns the answer where a run has no such layer."""
    return errors.NotFoundError(
        f"`{name}` must be a layer or a row of the run {shown(run)}, as "
        f"`runs` lists them; got {shown(layer)}."
    )


def no_run(run):
    """Returns the answer where there is no such run."""
    return errors.NotFoundError(
        f"no run {shown(run)} was recorded; `runs` lists all."
    )


def shown(value: str) -> str:
    """Returns what was received, so that a reply is never long."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _listed(choices) -> str:
    # Columns come from a file.
    names = [name[:_LONGEST] for name in list(choices)[:_MOST_CHOICES]]
    more = len(choices) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
