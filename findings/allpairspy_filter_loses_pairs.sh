#!/usr/bin/env bash
# allpairspy 2.5.1, https://github.com/thombashi/allpairspy
#
# AllPairs(parameters, filter_func=...) promises rows in which each pair of
# values that the filter allows occurs. Four parameters of three, three, three
# and two values, of which one combination is forbidden (a0 with b0): the pair
# (b0, c2) is in 4 of the 48 allowed rows, and in none of those returned. Whoever
# tests "all pairs" so tests less than that, and is not told.
#
# Seen: missing: [('b0', 'c2')]
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet allpairspy==2.5.1
"$folder/venv/bin/python" - <<'PY' | tee "$folder/seen"
import itertools
from allpairspy import AllPairs

axes = [["a0", "a1", "a2"], ["b0", "b1", "b2"], ["c0", "c1", "c2"], ["d0", "d1"]]
allowed = lambda row: not {"a0", "b0"} <= set(row)
pairs = lambda rows: {p for row in rows for p in itertools.combinations(row, 2)}
possible = pairs(row for row in itertools.product(*axes) if allowed(row))
returned = pairs(AllPairs(axes, filter_func=allowed))
print("missing:", sorted(possible - returned))
PY
grep -qF "missing: [('b0', 'c2')]" "$folder/seen"
