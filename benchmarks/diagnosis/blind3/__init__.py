"""Programs from public reports that no other set has, and healthy ones.

Each fault was met by somebody: its source is a public thread. They were
written by somebody who has read neither the rules nor the meanings of the
findings, so no kind is declared: a fault has its cause and, where it has a
place, its layers. What both variants reach is in the docstrings, as printed
by `python -m benchmarks.diagnosis.measure blind3`.
"""
