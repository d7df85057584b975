"""The judgement on two functions, by hand: no TensorFlow in here."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradscope.evaluating import same_text
from gradscope.evaluating.parting_layer import largest_distance
from gradscope.evaluating.same_result import Evaluation, judge_sameness
from gradscope.format.schema import Variable

NAMES = ("first/kernel", "first/bias", "second/kernel")
VARIABLES = [Variable(n, n.split("/")[0], (2,), "float32") for n in NAMES]
GRADIENTS = [np.array([3.0, 4.0]), np.array([1.0, 0.0]), np.array([0.0, 2.0])]


def evaluation(gradients_b, losses=(1.0, 1.0), reads=None, gradients_a=None):
    a, b = ([[]] * 3, [[]] * 3) if reads is None else reads
    return Evaluation(losses, gradients_a or GRADIENTS, list(gradients_b), a, b)


def judge(*gradients_b, precision="float64", **more):
    options = {
        name: more.pop(name)
        for name in ("stopped", "only", "random", "moved")
        if name in more
    }
    found = evaluation(gradients_b, **more)
    both = {"float32": found} | {precision: found}
    if precision == "float32":
        options["float64_problem"] = "Op cannot compute in float64"
    return judge_sameness(VARIABLES, list(NAMES), both, **options)


def changed(index, factor):
    """All gradients, but one a little longer."""
    found = [g.copy() for g in GRADIENTS]
    found[index] = found[index] * factor
    return found


def test_relative_difference_and_cosine_by_hand():
    row = judge(np.array([4.0, 3.0]), *GRADIENTS[1:]).rows[0]
    # |(-1, 1)| / 5, and (3, 4)(4, 3) / 25.
    assert row.float64.relative == pytest.approx(np.sqrt(2) / 5)
    assert row.float64.cosine == pytest.approx(24 / 25)
    assert (row.float64.norm_a, row.float64.norm_b) == (5, 5)


def test_a_missing_gradient_is_zero_and_differs_from_another():
    row = judge(None, *GRADIENTS[1:]).rows[0]
    assert (row.float64.relative, row.float64.norm_b) == (1, 0)
    assert np.isnan(row.float64.cosine) and row.differs
    same = judge(None, *GRADIENTS[1:], gradients_a=[None, *GRADIENTS[1:]])
    assert same.same and same.rows[0].float64.relative == 0


@given(st.integers(0, 2), st.floats(-14, 0.3), st.floats(-6, 6))
def test_the_judgement_is_symmetric_and_has_no_scale(index, power, scale):
    scale = 10.0**scale
    a, b = GRADIENTS, changed(index, 1 + 10.0**power)
    verdicts = {
        judge(*b).same,
        judge(*a, gradients_a=b).same,
        judge(*(scale * g for g in b), gradients_a=[scale * g for g in a]).same,
    }
    assert verdicts == {power < -8} or abs(power + 8) < 0.1


@pytest.mark.parametrize(
    "factor, expected",
    [(1 + 1e-5, True), (1 + 1e-3, None), (1.2, False), (np.nan, False)],
)
def test_float32_alone_may_not_tell(factor, expected):
    found = judge(*changed(0, factor), precision="float32")
    assert found.same is expected and found.precision == "float32"
    assert "float64 is not available: Op cannot compute in float64." in str(
        found
    )
    assert ("float32 cannot tell" in str(found)) == (expected is None)


def test_noise_is_no_difference_but_what_is_merely_small_is():
    tiny = [GRADIENTS[0], np.array([1e-13, 0]), GRADIENTS[2]]
    other = [GRADIENTS[0], np.array([0, 1e-13]), GRADIENTS[2]]
    found = judge(*other, gradients_a=tiny)
    assert found.same and found.rows[1].noise
    assert "noise" in str(found)
    # Below 1e-4 of the largest, but float64 knows it well: vanishing.
    tiny[1], other[1] = 1e6 * tiny[1], 1e6 * other[1]
    found = judge(*other, gradients_a=tiny)
    assert not found.same and not found.rows[1].noise
    found = judge(*other, gradients_a=tiny, precision="float32")
    assert found.same and found.rows[1].noise


def test_on_the_way_back_the_layer_is_between_what_agrees_and_what_does_not():
    found = judge(*changed(0, 1.5), stopped=((), ("first/StopGradient",)))
    assert (found.same, found.way, found.layer) == (False, "backward", "first")
    assert "agree down to `first/bias` and differ from `first/kernel` on" in (
        found.place
    )
    assert (
        "the second function has a `stop_gradient` that the first does not "
        "have: first/" in (found.place)
    )
    found = judge(*changed(1, 1.5), stopped=(("x", "y"), ("x",)))
    assert found.layer == "second"
    assert "that the second does not have: y" in found.place
    found = judge(*changed(2, 1.5))
    assert "differ from `second/kernel` on" in found.place


def test_a_scaled_loss_is_told_by_its_factor():
    found = judge(*(2 * g for g in GRADIENTS))
    assert found.way == "backward" and found.layer is None
    assert "all gradients of the second function are 2 times" in found.place


def test_on_the_way_forward_the_first_variable_that_differs_names_the_layer():
    read = [[np.ones((4, 3))], [], [np.ones((4, 2))]]
    other = [[np.ones((4, 3))], [], [np.zeros((4, 2))]]
    found = judge(*changed(0, 2), losses=(1.0, 1.2), reads=(read, other))
    assert (found.way, found.layer) == ("forward", "second")
    assert "the first tensors computed from `second/kernel`" in found.place
    found = judge(*changed(0, 2), losses=(1.0, 1.2), reads=(read, read))
    assert (found.way, found.layer) == ("forward", None)
    assert "computed after `second/kernel`, at the outputs" in found.place


def test_losses_that_differ_by_a_constant_differ():
    found = judge(*GRADIENTS, losses=(1.0, 1.5))
    assert not found.same and found.way == "forward"


def test_a_variable_of_one_function_alone_is_a_difference():
    found = judge(*GRADIENTS, only=((), ("third/kernel",)))
    assert not found.same
    assert "Only the second function has third/kernel." in str(found)
    assert "some variables belong to only one" in found.place


@given(st.integers(2, 6), st.integers(1, 5), st.integers(0, 3))
def test_examples_in_two_passes_are_those_of_one(count, size, seed):
    x = np.random.default_rng(seed).normal(size=(2 * count, size, 2))
    assert largest_distance([x], [x[:count], x[count:]]) == 0
    assert largest_distance([x[:count]], [x]) == 0
    assert largest_distance([x], [x[:count] + 1]) > 1e-3


def test_what_is_made_once_must_be_the_same_in_both():
    a, b = np.ones((1, 1, 1, 3)), np.full((1, 1, 1, 3), 1.1)
    assert largest_distance([a, a], [a]) == 0
    assert largest_distance([a], [a, b]) == pytest.approx(0.1 / 1.1)
    assert largest_distance([np.arange(3.0)], [np.arange(3.0)[::-1]]) > 0.5
    assert largest_distance([np.zeros(3)], [np.zeros(3)]) == 0


def test_what_has_no_size_in_common_cannot_be_told():
    assert np.isnan(largest_distance([np.ones((4, 3))], [np.ones((4, 2))]))
    assert np.isnan(largest_distance([], [np.ones(3)]))
    assert np.isnan(largest_distance([np.float64(1)], [np.float64(1)]))


def test_json_has_no_number_that_json_does_not_know():
    found = judge(None, *GRADIENTS[1:], moved=("first/bias",))
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["version"] == same_text.JSON_VERSION == 1
    assert told["rows"][0]["float64"]["cosine"] is None
    assert told["same"] is False and told["verdict"] in " ".join(
        str(found).replace("\n ", "").split()
    ).replace("  ", " ")
    assert told["notes"] == [
        "The second function had other values in first/bias; it was evaluated "
        "with the values of the first."
    ]


def test_the_text_fits_and_is_printable():
    found = judge(*changed(0, 3), random=(True, False))
    assert "\033" not in str(found) and "differs" in str(found)
    assert max(map(len, str(found).splitlines())) <= 80
    assert "Some random numbers do not depend on any" in str(found)
