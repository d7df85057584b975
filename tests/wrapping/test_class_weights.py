"""Which class weights `Callback` notes."""

import numpy as np
import pytest

from gradscope.format.schema import Wiring
from gradscope.wrapping.fit.class_weights import odd_weights

RARE = np.repeat([0, 1, 2], [10, 20, 90])
ONE_HOT = np.eye(3)[RARE]


@pytest.mark.parametrize("y", [RARE, RARE[:, np.newaxis] * 1.0, ONE_HOT])
def test_weights_that_rise_with_the_number_of_examples(y):
    (odd,) = odd_weights(y, {0: 0.1, 1: 0.2, 2: 0.9})
    assert odd == Wiring("weight_of_many", "class_weight", "0.75 9 9")
    assert not list(odd_weights(y, {0: 9.0, 1: 4.5, 2: 1.0}))
    # Weights that hardly differ, and those of a single class, may be meant.
    assert not list(odd_weights(y, {0: 1.0, 1: 1.2, 2: 1.5}))
    assert not list(odd_weights(y, {0: 1.0, 1: 1.0, 2: 9.0}))


def test_weights_of_labels_that_do_not_occur():
    (odd,) = odd_weights(RARE, {1: 9.0, 2: 4.5, 3: 1.0})
    assert odd == Wiring("weight_of_no_class", "class_weight", "3 0")
    # A class that this part of the data lacks, and one that counts 1.
    assert not list(odd_weights(RARE, {0: 9.0, 1: 4.5, 2: 1.0, 3: 1.0}))
    assert not list(odd_weights(RARE, {0: 9.0}))


@pytest.mark.parametrize("y", [None, RARE + 0.5, np.ones((4, 3)), []])
def test_targets_that_are_no_labels(y):
    assert not list(odd_weights(y, {0: 1.0, 1: 9.0}))
    assert not list(odd_weights(RARE, None))
