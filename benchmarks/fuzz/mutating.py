"""Inputs that are spoilt: bytes, events and JSON."""

from __future__ import annotations

import json
import math
import random

import numpy as np
from tensorboard.compat.proto import event_pb2

from gradscope.format import json_tensor

_DT_UINT8, _DT_STRING = 4, 7

NUMBERS = (
    *(0, 1, -1, 255, 2**16, 2**31, 2**31 - 1, -(2**31), 2**32, 10**9),
    *(2**53, 2**53 + 1, 2**62, 2**63 - 1, -(2**63), 2**64, 10**30),
    *(0.5, -0.0, 1e-320, 1e308, -1e308, math.nan, math.inf, -math.inf),
)

# NaN, both infinities, the largest float32, zero and minus zero.
_FLOATS = (0x7FC00000, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 0, 0x80000000)

#: What may stand where a name is expected.
NAMES = (
    "",
    " ",
    "/",
    "a/b/c",
    "../../etc/passwd",
    "dense_1/kernel",
    "🔥🏳️‍🌈",
    "<script>alert(1)</script>",
    "[a](javascript:alert(1)) ![b](http://c/d.png) `code` **e**",
    "line\nbreak\r\x1b[31mred\x1b]0;title\x07\b\b",
    "\u202edesrever\u2066\u200b\ufeff",
    "\0",
    "\ud800",
    "=cmd|' /C calc'!A0",
    "x" * 10_000,
    "%s %n {0} {x!r} \\",
)


def spoilt_bytes(data: bytes, chance: random.Random) -> bytes:
    """Return some bytes with one to four changes."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed) + 1)
        size = chance.choice((1, 1, 2, 4, 8, 32, 256))
        how = chance.randrange(6)
        if how == 0 and at < len(changed):
            changed[at] ^= 1 << chance.randrange(8)
        elif how == 1:
            del changed[at : at + size]
        elif how == 2:
            changed[at:at] = chance.randbytes(size)
        elif how == 3:
            changed[at:at] = changed[at : at + size]
        elif how == 4:
            value = chance.choice((0, 1, 2**60, 2**63, 2**64 - 1))
            changed[at : at + 8] = value.to_bytes(8, "little")
        else:
            del changed[at:]
    return bytes(changed)


def spoilt_json(value, chance: random.Random):
    """Return a value of JSON with one part changed, wherever it is."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(list(value))
        how = chance.randrange(8)
        if how == 0:
            return {k: v for k, v in value.items() if k != key}
        if how == 1:
            return {**value, chance.choice(NAMES): _anything(chance)}
        return {**value, key: spoilt_json(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.8:
        at = chance.randrange(len(value))
        how = chance.randrange(8)
        if how == 0:
            return value[:at] + value[at + 1 :]
        if how == 1:
            return value[: at + 1] * 2 + value[at + 1 :]
        return [*value[:at], spoilt_json(value[at], chance), *value[at + 1 :]]
    if isinstance(value, str) and chance.random() < 0.7:
        return chance.choice(NAMES)
    if isinstance(value, int | float) and chance.random() < 0.7:
        return chance.choice(NUMBERS)
    return _anything(chance)


def _anything(chance):
    nested: list = []
    for _ in range(chance.choice((1, 1, 5, 900))):
        nested = [nested]
    values = [None, True, [], {}, nested, {"a": nested}, [1, "a", None]]
    return chance.choice(
        [*values, chance.choice(NUMBERS), chance.choice(NAMES)]
    )


def spoilt_events(events: list[bytes], chance: random.Random) -> list[bytes]:
    """Return events in another order, or with other contents."""
    events = list(events)
    for _ in range(chance.randint(1, 4)):
        # The first has the schema, and of the last much is told.
        at = chance.choice((0, len(events) - 1, chance.randrange(len(events))))
        how = chance.randrange(8)
        if how == 0:
            events.insert(chance.randrange(len(events)), events[at])
        elif how == 1 and len(events) > 1:
            del events[at]
        elif how == 2:
            chance.shuffle(events)
        elif how == 3:
            events[at] = spoilt_bytes(events[at], chance)
        else:
            events[at] = _spoilt_event(events[at], chance)
    return events


def _spoilt_event(data: bytes, chance) -> bytes:
    """Return an event one of whose fields has another value."""
    try:
        event = event_pb2.Event.FromString(data)
    except Exception:
        return data  # it was spoilt before
    whole = [n for n in NUMBERS if isinstance(n, int) and -(2**63) <= n < 2**63]
    how = chance.randrange(6)
    if how == 0 or not event.summary.value:
        event.step = chance.choice(whole)
    elif how == 1:
        event.wall_time = float(chance.choice(NUMBERS))
    else:
        _spoil_value(chance.choice(event.summary.value), how, whole, chance)
    return event.SerializeToString()


def _text(tensor) -> bytes | None:
    """Return the JSON of a tensor, None if it has none."""
    if tensor.string_val:
        return tensor.string_val[0]
    if tensor.dtype != _DT_UINT8:
        return None
    array = np.frombuffer(tensor.tensor_content, np.uint8)
    return json_tensor.to_text(array)


def _spoil_value(value, how, whole, chance) -> None:
    tensor = value.tensor
    text = _text(tensor)
    if text is not None and how < 5:
        try:
            changed = json.dumps(spoilt_json(json.loads(text), chance))
        except (ValueError, RecursionError):
            changed = spoilt_bytes(text, chance).decode(errors="replace")
        if tensor.string_val or how == 2:  # as in format 1
            tensor.Clear()
            tensor.dtype = _DT_STRING
            tensor.string_val.append(changed.encode())
        else:
            content = json_tensor.to_array(changed).tobytes()
            if how == 3:
                content = spoilt_bytes(content, chance)
            tensor.tensor_content = content
            del tensor.tensor_shape.dim[:]
            tensor.tensor_shape.dim.add(size=len(content))
    elif how == 2:
        parts = value.tag.split("/")
        parts[chance.randrange(len(parts))] = chance.choice(
            ("gradscope", "schema", "run", "variables", "units", "logs", "new")
        )
        value.tag = "/".join(parts)
    elif how == 3 and tensor.tensor_shape.dim:
        chance.choice(tensor.tensor_shape.dim).size = chance.choice(whole)
    elif how == 4:
        tensor.dtype = chance.choice((0, 1, 2, 3, 7, 9, 10, 14, 20))
    else:
        # Other numbers: each float of the row may be anything.
        content = bytearray(tensor.tensor_content)
        for _ in range(chance.choice((1, 3, 100))):
            if len(content) >= 4:
                at = 4 * chance.randrange(len(content) // 4)
                number = chance.choice((*_FLOATS, chance.randrange(2**32)))
                content[at : at + 4] = number.to_bytes(4, "little")
        tensor.tensor_content = bytes(content)
