"""A record with all that one can hold, as the bytes of its events."""

from __future__ import annotations

import struct

import numpy as np

from gradscope.format import schema
from gradscope.format.epoch_logs import Log
from gradscope.reading.checksum import masked_crc
from gradscope.recording import event_writer

_WALL_TIME = 1.7e9


def described(layers: int = 2) -> schema.Schema:
    """Return the schema of a small network that has every kind of row."""
    names = [f"dense_{number + 1}" for number in range(layers)]
    return schema.Schema(
        variables=tuple(
            schema.Variable(f"{name}/{kind}", name, shape, "float32")
            for name in names
            for kind, shape in (("kernel", (3, 3)), ("bias", (3,)))
        ),
        optimizer={"class": "SGD", "config": {"learning_rate": 0.1}},
        activations=tuple(
            schema.Activation(f"{name}/relu", "relu", 3, rank=2)
            for name in names
        ),
        states=(
            schema.State("norm", "batch_norm", 6, layer="norm"),
            schema.State("dropout", "dropout"),
        ),
        data=(schema.Data("input", "float32", (3,)), schema.Data("target")),
        operations=(schema.Operation("dense_1 (MatMul)"),),
        unseen=("while",),
        model={
            "layers": [
                {"name": name, "class": "Dense", "config": {"units": 3}}
                for name in names
            ],
            "loss": {"class": "MeanSquaredError", "config": {}},
            "metrics": ["accuracy"],
        },
        linear=((f"{names[0]}/kernel", f"{names[-1]}/kernel"),),
        wiring=(schema.Wiring("broadcast", "loss", "(8, 1) and (8,)"),),
    )


def events(network: schema.Schema, steps, seed: int = 0) -> list[bytes]:
    """Return the events of some steps, as an event file has them."""
    random = np.random.default_rng(seed)
    found = []
    for index, step in enumerate(steps):
        values = [
            event_writer.family_value(
                family,
                network.id,
                random.lognormal(
                    size=(len(network.rows(family)), len(columns))
                ),
            )
            for family, columns in network.columns.items()
            if family in schema.FAMILIES or index % 3 == 1
        ]
        log = Log(step, index, {"loss": 0.5, "val_loss": 0.6})
        values.append(event_writer.logs_value(network.id, log))
        if not index:
            values.append(event_writer.schema_value(network))
        found.append(event_writer.event(step, _WALL_TIME + step, values))
    return found


def framed(found: list[bytes]) -> bytes:
    """Return an event file of some events, with right checksums."""
    parts = []
    for data in found:
        head = struct.pack("<Q", len(data))
        parts += [head, struct.pack("<I", masked_crc(head))]
        parts += [data, struct.pack("<I", masked_crc(data))]
    return b"".join(parts)
