"""Programs for `blind` whose harm or success is still to be measured.

`python -m benchmarks.diagnosis.measure blind_draft` prints the measures. Then
the words BROKEN and REPAIRED of the docstrings become numbers, a fault that
does no harm is marked `harmless`, and the module moves into `blind`.
"""
