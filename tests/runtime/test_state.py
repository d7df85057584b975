"""Variables beside whatever is being traced."""

import numpy as np
import pytest
import tensorflow as tf

from gradscope.runtime import own_variables


def test_a_variable_starts_with_its_value_and_is_not_trained():
    variable = own_variables.create(np.arange(3.0), "")
    assert own_variables.value(variable).tolist() == [0, 1, 2]
    assert not variable.trainable


def test_a_variable_is_on_the_device():
    assert own_variables.create(np.zeros(1), "/cpu:0").device.endswith("CPU:0")


@pytest.mark.parametrize("device", ["nonsense", "/job:elsewhere/task:3/cpu:0"])
def test_a_device_that_does_not_exist_is_named(device):
    message = rf"no variable of shape \(2, 3\) could be made on '{device}': ."
    with pytest.raises(RuntimeError, match=message):
        own_variables.create(np.zeros([2, 3]), device)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_variable_can_be_made_while_tracing_and_set_later(jit_compile):
    made = []

    @tf.function(jit_compile=jit_compile)
    def traced():
        if not made:
            made.append(own_variables.create(np.array(1.0, np.float32), ""))
        made[0].assign_add(1.0)
        return made[0] * 10

    assert traced() == 20
    assert own_variables.value(made[0]) == 2
    own_variables.assign(made[0], 5.0)
    assert traced() == 60


def test_a_variable_belongs_to_no_strategy():
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        variable = own_variables.create(np.zeros(1), "")
    assert type(variable) is type(tf.Variable(0.0))
