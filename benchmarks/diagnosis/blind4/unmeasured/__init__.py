"""Programs whose numbers are still to be measured; not a part of the set.

`python -m benchmarks.diagnosis.measure blind4.unmeasured` prints them. Those
whose broken variant is clearly worse belong into the modules of the set.
"""
