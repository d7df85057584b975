"""Programs from public reports that no earlier set has, and healthy ones.

Each fault was met by somebody: its source is a public thread. They were
written by somebody who has read neither the rules nor the meanings of the
findings, so no kind is declared: what a good diagnosis would have to say is
the `cause`, and the place is in `layers`. What both variants reach is in the
docstrings, broken against repaired, as printed by
`python -m benchmarks.diagnosis.measure blind4`.
"""
