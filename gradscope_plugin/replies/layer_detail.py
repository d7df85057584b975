"""One layer of a run: what the model says of it, and what there is to draw."""

from __future__ import annotations

from gradscope_plugin.runs import record_parts

#: Histograms are listed of so many variables at most, a hundred times what a
#: layer of Keras has.
MOST = 500


def names(record) -> list[str]:
    """Returns the layers that something is known of, in forward order."""
    described = record.schema
    return list(
        dict.fromkeys(
            (
                *record.layers,
                *(record_parts.layer_of(a.name) for a in described.activations),
                *(s.layer or s.name for s in described.states),
                *(one["name"] for one in described.model.get("layers", ())),
            )
        )
    )


def describe(record, layer: str, histograms: dict) -> dict:
    """Returns what `/layer` tells of a layer.

    Args:
        record: A `gradscope.Record`; its steps are not looked at.
        layer: One of `names`.
        histograms: Of each of its variables the kinds of histograms.
    """
    part = record_parts.only(record, layer).schema
    model = record.schema.model
    # Where a wrapper and the layer inside have one name, the inner one is last.
    told = [one for one in model.get("layers", ()) if one["name"] == layer]
    return {
        "layer": layer,
        "class": told[-1]["class"] if told else None,
        "config": told[-1]["config"] if told else {},
        "has_model": bool(model),
        "optimizer": record.schema.optimizer,
        "variables": [
            {
                "name": v.name,
                "shape": list(v.shape),
                "dtype": v.dtype,
                "histograms": histograms.get(v.name, []),
            }
            for v in part.variables[:MOST]
        ],
        "activations": [a.name for a in part.activations],
        "states": [s.name for s in part.states],
    }
