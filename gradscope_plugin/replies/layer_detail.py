"""Describes one layer of a run for `/layer`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradscope_plugin.runs import record_parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gradscope.reading.record import Record

#: Largest number of variables in a reply, far above those of a Keras layer.
MOST = 500


def names(record: Record) -> list[str]:
    """List all layers that the record or its model has, in forward order."""
    schema = record.schema
    return list(
        dict.fromkeys(
            (
                *record.layers,
                *(record_parts.layer_of(a.name) for a in schema.activations),
                *(s.layer or s.name for s in schema.states),
                *(layer["name"] for layer in schema.model.get("layers", ())),
            )
        )
    )


def describe(
    record: Record, layer: str, histograms: Mapping[str, list[str]]
) -> dict:
    """Describe a layer: its class, configuration, variables and rows.

    Args:
        record: A record; only its schema is used.
        layer: One of `names`.
        histograms: For each of its variables the kinds of histograms.
    """
    rows = record_parts.select_rows(record, layer).schema
    model = record.schema.model
    layers = [x for x in model.get("layers", ()) if x["name"] == layer]
    # Where a wrapper and the layer inside have one name, the inner one is last.
    configured = layers[-1] if layers else {"class": None, "config": {}}
    return {
        "layer": layer,
        "class": configured["class"],
        "config": configured["config"],
        "has_model": bool(model),
        "optimizer": record.schema.optimizer,
        "variables": [
            {
                "name": v.name,
                "shape": list(v.shape),
                "dtype": v.dtype,
                "histograms": histograms.get(v.name, []),
            }
            for v in rows.variables[:MOST]
        ],
        "activations": [a.name for a in rows.activations],
        "states": [s.name for s in rows.states],
    }
