"""Remarks on a comparison: unknown models, damage, and sums in any order."""

from __future__ import annotations

from gradscope.reading.record import Record


def remarks_on_sums(a: Record, b: Record) -> tuple[str, ...]:
    """Explain a difference by rounding, where sums of a run have no order."""
    runs = {"first": a, "second": b}
    names = [n for n, record in runs.items() if record.schema.unordered_sums]
    if not names:
        return ()
    count = max(len(runs[name].schema.unordered_sums) for name in names)
    sums = "a sum" if count == 1 else f"{count} sums"
    return (
        "At first, the runs differ by rounding alone, and TensorFlow adds up "
        f"{sums} of the {' and the '.join(names)} run in no fixed order. The "
        "same program does not reproduce its own bits then, so nothing else "
        "need be different. Call `gradscope.sums_in_order()` at the start of "
        "the program to make it reproducible.",
    )


def remarks(a: Record, b: Record) -> tuple[str, ...]:
    """Say which facts of two runs are unknown, and which files are damaged."""
    runs = {"first": a, "second": b}
    unknown = [name for name, record in runs.items() if not record.schema.model]
    notes = []
    if unknown:
        subject = f"The model of the {unknown[0]} run is"
        if len(unknown) > 1:
            subject = "The models of both runs are"
        notes.append(
            f"{subject} not known, so layers and losses are not compared. "
            "`gradscope.wrap(..., model=model)` records the model."
        )
    for name, record in runs.items():
        notes += [
            f"The {name} run is damaged: {text}" for text in record.damage
        ]
    return tuple(notes)
