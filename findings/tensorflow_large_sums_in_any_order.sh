#!/usr/bin/env bash
# TensorFlow 2.21.0 (CPU), grappler's memory optimizer
#
# tf.add_n of four tensors of 10,000,000 numbers in a tf.function: grappler makes
# a temporary variable of the sum and one AssignAdd for each term as soon as the
# estimated peak of memory is above 80 % of the device's memory, and a CPU counts
# as 256 MiB. The terms are added in whatever order they are ready, so that the
# same program on the same tensors has other bits from call to call, also under
# tf.config.experimental.enable_op_determinism(). Of 10,000 numbers each, the sum
# is one AddN, and repeats its bits. Gradients of large networks are such sums.
#
# Seen: "10000: AddN 1, AssignAdd 0, 1 distinct results of 20" and
#       "10000000: AddN 0, AssignAdd 4, N distinct results of 20" with N above 1
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow==2.21.0
CUDA_VISIBLE_DEVICES="" TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PY' | tee "$folder/seen"
import collections
import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context

tf.config.experimental.enable_op_determinism()


@tf.function
def total(*terms):
    return tf.add_n([tf.sin(term) for term in terms])


for size in (10_000, 10_000_000):
    numbers = (np.random.RandomState(i).normal(size=size) for i in range(4))
    terms = [tf.constant(n, tf.float32) for n in numbers]
    context.enable_run_metadata()
    total(*terms)
    graphs = context.export_run_metadata().function_graphs
    context.disable_run_metadata()
    count = collections.Counter(
        node.op for g in graphs for node in g.post_optimization_graph.node
    )
    results = {total(*terms).numpy().tobytes() for _ in range(20)}
    print(f"{size}: AddN {count['AddN']}, AssignAdd {count['AssignAdd']},",
          len(results), "distinct results of 20")
PY
grep -qF "10000: AddN 1, AssignAdd 0, 1 distinct results of 20" "$folder/seen"
grep -qE "^10000000: AddN 0, AssignAdd 4, ([2-9]|1[0-9]|20) distinct" "$folder/seen"
