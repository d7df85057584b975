#!/usr/bin/env bash
# TensorFlow 2.21.0 (CPU)
#
# tf.add_n does not always add its terms in the order in which it gets them. The
# kernel begins with the first term whose memory it may overwrite, and that is
# one which no other operation still has to read. So whether two other readers
# of the first two terms run before or after the sum decides the last bits of a
# sum of three tensors: (a + b) + c in one case, (c + b) + a in the other. Here
# control dependencies make the readers come first or last; without them the
# threads decide. In gradients the sums of a weight's uses are such add_n's.
#
# Seen: readers first: (a + b) + c differs in 0 elements, (c + b) + a in many;
# readers last: the other way round
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow==2.21.0
CUDA_VISIBLE_DEVICES="" TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PY'
import numpy as np
import tensorflow as tf

terms = np.random.default_rng(0).normal(size=(3, 1000)).astype("float32")


@tf.function
def add_up(a, b, c, readers_first):
    """Add three terms, the first two of which have another reader each."""
    terms = [tf.sin(a), tf.sin(b), tf.sin(c)]
    if readers_first:
        read = [tf.exp(terms[0]), tf.exp(terms[1])]
        with tf.control_dependencies(read):
            return tf.add_n(terms), read
    total = tf.add_n(terms)
    with tf.control_dependencies([total]):
        return total, [tf.exp(terms[0]), tf.exp(terms[1])]


a, b, c = (tf.sin(term).numpy() for term in terms)
orders = {"(a + b) + c": (a + b) + c, "(c + b) + a": (c + b) + a}
for readers_first in (True, False):
    total = add_up(*terms, readers_first)[0].numpy()
    differ = {name: int(np.sum(total != s)) for name, s in orders.items()}
    print("readers first:" if readers_first else "readers last:", differ)
    as_given, from_the_end = differ.values()
    assert (as_given == 0) == readers_first, differ
    assert (from_the_end == 0) != readers_first, differ
PY
