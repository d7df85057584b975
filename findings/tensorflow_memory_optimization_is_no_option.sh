#!/usr/bin/env bash
# TensorFlow 2.21.0 (CPU)
#
# tf.config.optimizer.set_experimental_options takes the names of grappler's
# passes. "memory_optimization" is a field of RewriterConfig, but no option here:
# the call raises nothing, get_experimental_options does not have it, and the pass
# runs as before. Any other name that it does not know is taken in the same way.
# What works is a ConfigProto with memory_optimization NO_MEM_OPT given to the
# call of a function (FunctionCallOptions), which is no public API.
#
# Seen: accepted; among the options: False ; AssignAdd before 4, after 4
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow==2.21.0
CUDA_VISIBLE_DEVICES="" TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PY' | tee "$folder/seen"
import tensorflow as tf
from tensorflow.python.eager import context

terms = [tf.ones([10_000_000]) for _ in range(4)]


def assign_adds():
    total = tf.function(lambda *t: tf.add_n([tf.sin(x) for x in t]))
    context.enable_run_metadata()
    total(*terms)
    graphs = context.export_run_metadata().function_graphs
    context.disable_run_metadata()
    nodes = (n for g in graphs for n in g.post_optimization_graph.node)
    return sum(node.op == "AssignAdd" for node in nodes)


before = assign_adds()
tf.config.optimizer.set_experimental_options({"memory_optimization": False})
options = tf.config.optimizer.get_experimental_options()
print("accepted; among the options:", "memory_optimization" in options,
      f"; AssignAdd before {before}, after {assign_adds()}")
PY
grep -qF "accepted; among the options: False ; AssignAdd before 4, after 4" "$folder/seen"
