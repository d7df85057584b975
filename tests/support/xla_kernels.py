"""The kernels of a step as XLA compiles it, in a form that can be compared."""

import collections
import re

_NAME = re.compile(r"%([\w.-]+)")
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\{$", re.MULTILINE)


def kernels(text):
    """Counts the kernels of a module's entry.

    Two are the same if they compute the same, and work in place where the other
    one does.

    Args:
        text: The module after optimization.
    """
    text = re.sub(r", (metadata|frontend_attributes)=\{[^}]*\}", "", text)
    text = re.sub(r", backend_config=.*", "", text)
    bodies, entry = {}, None
    for part in re.split(r"\n\n+", text):
        head = _COMPUTATION.search(part)
        if head is not None:
            bodies[head[2]] = part[head.end() :]
            entry = head[2] if head[1] else entry
    return collections.Counter(
        (_nameless(bodies[called]), _overwritable(bodies[called], operands))
        for shape, operands, called in re.findall(
            r"= (\S+) fusion\((.*?)\), kind=\w+, calls=%?([\w.-]+)",
            bodies[entry],
        )
        if not re.match(r"\w+\[\]", shape)  # scalars are counts, scales, losses
    )


def _overwritable(body, operands):
    """Which operands are arguments of the step, which a kernel may overwrite.

    A scalar is only read, wherever it comes from.
    """
    operands = re.sub(r"/\*.*?\*/", "", operands).split(", ")
    return tuple(
        operand.startswith("%arg")
        and not re.search(rf"= \w+\[\] parameter\({number}\)", body)
        for number, operand in enumerate(operands)
    )


def _nameless(body):
    """Returns a computation's text with numbers in place of its names."""
    numbers = {}
    for line in body.splitlines():
        for name in _NAME.findall(line):
            numbers.setdefault(name, f"%{len(numbers)}")
    return _NAME.sub(lambda match: numbers[match[1]], body)
