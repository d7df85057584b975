"""XLA compiles an observed step to the kernels of the plain one, and updates
weights in place where it does without gradscope.

That is why no bit differs, see `gradscope.runtime.ordered_reads`: equal bits
may be luck, equal kernels are not.
"""

import combinations
import keras
import pytest
import tensorflow as tf
import training
from combination_checks import precision
from thinning import thinned
from xla_kernels import kernels

import gradscope

#: As in `combinations`. Of these, RMSprop with a loss scale and Adagrad in
#: float16 lost bits; the rate of a schedule comes from the count of steps.
CASES = [
    ("rmsprop", "loss_scale", "float32"),
    ("rmsprop", "none", "float32"),
    ("adagrad", "clipnorm", "mixed_float16"),
    ("adam", "scheduled", "float32"),
    ("lion", "loss_scale", "float32"),
    ("multi", "none", "float32"),
    ("sgd", "loss_scale", "mixed_float16"),
]


def compiled(case, logdir=None):
    """Returns a step's module, observed where there is a log directory."""
    keras.utils.set_random_seed(7)
    model, optimizer = combinations.network(), combinations.optimizer_of(case)
    if logdir is not None:
        gradscope.wrap(optimizer, logdir, model=model, every=3)
    texts = []

    def compile_alone(step):
        program = tf.function(step, jit_compile=True)

        def run(*batch):
            module = program.experimental_get_compiler_ir(*batch)
            texts.append(module(stage="optimized_hlo"))

        return run

    batch = next(iter(combinations.batches()))
    training.loop(model, optimizer, wrapper=compile_alone, data=[batch])
    return texts[0]


@pytest.mark.parametrize(
    "optimizer, option, policy", thinned(CASES, fast=CASES[:1])
)
def test_an_observed_step_has_all_kernels_of_a_plain_one(
    optimizer, option, policy, tmp_path
):
    case = {"optimizer": optimizer, "option": option}
    with precision(policy):
        plain = kernels(compiled(case))
        observed = kernels(compiled(case, tmp_path))
    # The update of each of four variables, and what leads to it.
    assert plain.total() > 10
    assert not plain - observed
    # It has more: a recorded step is computed a second time, and measured.
    assert observed.total() > plain.total()
