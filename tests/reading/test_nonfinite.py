"""What became NaN or infinite first."""

import numpy as np
import pytest
import runs

from gradscope.cli import main
from gradscope.format import schema
from gradscope.reading import joining, nonfinite
from gradscope.reading.record import Record

NAN, INF = np.nan, np.inf

NET = schema.Schema(
    variables=(
        schema.Variable("first/kernel", "first", (4, 4), "float32"),
        schema.Variable("second/kernel", "second", (4, 4), "float16"),
        schema.Variable("third/kernel", "third", (4, 4), "float32"),
    ),
    activations=(
        schema.Activation("first/relu", "relu", 4),
        schema.Activation("second/relu", "relu", 4, "float16"),
    ),
    data=tuple(map(schema.Data, ("input", "output", "target"))),
    operations=(
        schema.Operation("first (MatMul)"),
        schema.Operation("second (Log)", "float16"),
    ),
)

#: What a healthy step has; the rest is 0.
HEALTHY = {
    "gradient_norm": 0.1,
    "gradient_max": 0.05,
    "weight_norm": 4.0,
    "update_norm": 0.001,
    "clipped_gradient_norm": NAN,
    "dead_fraction": NAN,
    "activation_rms": 0.5,
    "activation_max": 2.0,
    "data_rms": 1.0,
    "data_max": 3.0,
    "data_min": -3.0,
    "learning_rate": 0.01,
    "global_gradient_norm": 0.2,
    "loss": 1.5,
    "loss_scale": NAN,
    "skipped": NAN,
}


class Run:
    """A healthy record, to be made ill."""

    def __init__(self, steps=range(5), described=NET):
        self.record = Record(
            run="run",
            schema=described,
            steps=np.array(steps, np.int64),
            wall_times=np.array(steps, float),
            families={
                family: np.broadcast_to(
                    np.array([HEALTHY.get(n, 0) for n in columns], np.float32),
                    (len(steps), len(described.rows(family)), len(columns)),
                ).copy()
                for family, columns in schema.FAMILIES.items()
            },
        )

    def set(self, step, row=None, **statistics):
        """Sets statistics of a row (of the step, None) in one step."""
        index = self.record.steps.tolist().index(step)
        for name, value in statistics.items():
            if name == "operation_nonfinite":
                self.made(step, row, value)
                continue
            family = next(f for f, c in schema.FAMILIES.items() if name in c)
            rows = self.record.schema.rows(family)
            place = rows.index(row or ""), schema.FAMILIES[family].index(name)
            self.record.families[family][index][place] = value
        return self

    def made(self, step, row, value):
        """Says what an operation made."""
        names = self.record.schema.rows("operations")
        found = np.zeros([1, len(names), 1], np.float32)
        found[0, names.index(row)] = 1 if value == INF else 2
        steps, values = self.record.occasional("operations")
        kept = steps != step
        self.record.rare["operations"] = (
            np.append(steps[kept], step),
            np.concatenate([values[kept], found]),
        )

    def undefined(self, step, families=tuple(schema.FAMILIES)):
        """Makes all of a step NaN."""
        index = self.record.steps.tolist().index(step)
        for family in families:
            self.record.families[family][index] = NAN
        return self

    def first(self):
        return self.record.first_nonfinite()


#: Row and statistics of each kind, NaN first, in the order of a step.
ILL = {
    "input": ("input", {"data_nonfinite": 2, "data_rms": NAN}),
    "target": ("target", {"data_nonfinite": 2, "data_rms": NAN}),
    "weight": ("first/kernel", {"weight_norm": NAN}),
    "layer": ("second (Log)", {"operation_nonfinite": NAN}),
    "activation": (
        "first/relu",
        {"activation_nonfinite": 1, "activation_rms": NAN},
    ),
    "output": ("output", {"data_nonfinite": 2, "data_rms": NAN}),
    "loss": (None, {"loss": NAN}),
    "gradient": (
        "third/kernel",
        {"gradient_nonfinite": 7, "gradient_norm": NAN},
    ),
    "update": ("first/kernel", {"update_norm": NAN}),
}


def ill(run, step, kind, value=NAN):
    row, statistics = ILL[kind]
    for name, number in statistics.items():
        run.set(step, row, **{name: number if number == number else value})
    return run


def test_a_healthy_run_has_none():
    assert Run().first() is None
    assert nonfinite.first_nonfinite(Run([]).record) is None


@pytest.mark.parametrize("kind", ILL)
@pytest.mark.parametrize("value", [NAN, INF])
def test_each_kind_is_found_with_its_row_and_step(kind, value):
    found = ill(Run(), 3, kind, value).first()
    assert (found.kind, found.name) == (kind, ILL[kind][0])
    assert (found.step, found.last_clean_step, found.exact) == (3, 2, True)
    assert found.is_overflow == (value == INF)


def test_one_line_says_what_became_of_the_loss_and_where_it_began():
    run = ill(Run(), 2, "layer")
    for step in (2, 3, 4):
        ill(run, step, "loss")
    line = "loss is NaN since step 2, first at `second` (Log)"
    assert run.first().headline == line
    run = ill(Run(), 4, "loss", INF)
    assert run.first().headline == "loss is infinite since step 4"
    assert ill(Run(), 4, "gradient").first().headline == (
        "NaN since step 4, first in the gradient of `third/kernel`"
    )
    assert ill(Run(), 3, "input", INF).first().headline == (
        "infinity in step 3, first in the input `input` of the model"
    )


@pytest.mark.parametrize("value", [NAN, INF])
def test_in_one_step_the_first_of_the_order_is_told(value):
    run = Run()
    for kind in reversed(ILL):
        assert ill(run, 3, kind, value).first().kind == kind


@pytest.mark.parametrize("earlier", ILL)
@pytest.mark.parametrize("later", ILL)
def test_an_earlier_step_comes_before_all_else(earlier, later):
    found = ill(ill(Run(), 3, later), 2, earlier).first()
    assert (found.kind, found.step) == (earlier, 2)


def test_forward_the_first_layer_counts_and_backward_the_last():
    run = Run()
    for row in NET.rows("variables"):
        run.set(3, row, gradient_nonfinite=16, gradient_norm=NAN)
        run.set(3, row, update_norm=NAN)
    assert run.first().name == "third/kernel"
    run.set(3, "third/kernel", gradient_nonfinite=0)
    assert run.first().name == "second/kernel"
    for row in NET.activations[::-1]:
        run.set(3, row.name, activation_nonfinite=1)
        assert run.first().name == row.name


def test_only_what_had_to_be_a_number_is_counted():
    run = Run()
    run.undefined(1, ["activations", "data"])
    # A variable that the step left out, and one without a gradient.
    run.record.families["variables"][2, 0] = NAN
    run.set(3, "second/kernel", gradient_missing=1)
    for name in ("gradient_norm", "gradient_max", "gradient_nonfinite"):
        run.set(3, "second/kernel", **{name: NAN})
    assert run.first() is None
    # That one's update must be a number all the same.
    run.set(3, "second/kernel", update_norm=NAN)
    assert (run.first().kind, run.first().step) == ("update", 3)


def test_a_loss_that_was_never_known_is_not_nan():
    run = Run()
    for step in range(5):
        run.set(step, loss=NAN)
    assert run.first() is None
    # The model is known, by its inputs, so its loss is: it came first.
    ill(run, 3, "gradient")
    assert (run.first().kind, run.first().step) == ("loss", 3)
    # Here nobody knows the model.
    for step in range(5):
        run.undefined(step, ["data"])
    assert run.first().kind == "gradient"
    assert "The loss is not known, and may" in run.first().message


def test_a_loss_that_was_known_is_nan():
    run = Run()
    for step in (0, 1, 4):
        run.set(step, loss=NAN)
    assert run.first().step == 4


def test_an_infinite_loss_needs_no_other_evidence():
    assert Run().set(0, loss=-INF).first().is_overflow


def test_a_loss_that_only_other_variables_have_is_not_nan():
    run = Run()
    for step in (1, 3):  # as of the second optimizer of a GAN
        run.record.families["variables"][step, 0] = NAN
        run.set(step, loss=NAN)
    assert run.first() is None


def test_steps_that_a_loss_scale_skipped_are_not_looked_at():
    run = Run()
    for step in (0, 1, 3):
        run.undefined(step).set(step, learning_rate=0.01, skipped=step)
    assert run.first() is None
    found = ill(run, 4, "activation").first()
    assert (found.step, found.last_clean_step, found.exact) == (4, 2, True)
    assert found.steps_before.tolist() == [2]


@pytest.mark.parametrize(
    "steps, at, last, exact",
    [
        ([0, 1, 2], 2, 1, True),
        ([0, 10, 20], 20, 10, False),
        ([0, 10, 11], 11, 10, True),
        ([0, 10], 0, None, True),
        ([7, 8], 7, None, False),
    ],
)
def test_it_is_exact_only_without_a_gap(steps, at, last, exact):
    found = ill(Run(steps), at, "gradient").first()
    assert (found.step, found.last_clean_step) == (at, last)
    assert found.exact is exact


def test_nan_among_infinities_is_no_overflow():
    run = ill(Run(), 3, "activation")
    assert not run.set(3, "first/relu", activation_max=INF).first().is_overflow


def test_the_ten_steps_before_are_told():
    run = Run(range(0, 40, 2))
    for step in range(0, 40, 2):
        run.set(step, "third/kernel", gradient_norm=step)
    found = ill(run, 30, "gradient").first()
    assert found.steps_before.tolist() == list(range(10, 30, 2))
    before = found.before
    assert before["gradient_norm"].tolist() == list(range(10, 30, 2))
    assert before["loss"].tolist() == [1.5] * 10
    assert set(before) == {
        "gradient_norm",
        "weight_norm",
        "update_norm",
        "global_gradient_norm",
        "learning_rate",
        "loss",
    }
    assert all(values.dtype == np.float32 for values in before.values())


def test_families_that_were_not_recorded_are_no_evidence():
    run = Run()
    del run.record.families["data"], run.record.families["activations"]
    assert run.first() is None
    assert ill(run, 3, "loss").first().kind == "loss"


def joined(first, second):
    """Returns the record of a run that went on with another model."""
    series = {}
    for start, run in ((0, first), (100, second)):
        record = run.record
        points = range(len(record.steps))
        for family, values in record.families.items():
            series[schema.tag(family, record.schema.id)] = [
                (record.steps[i], start + i, values[i]) for i in points
            ]
        text = record.schema.to_json().encode()
        tag = schema.tag("schema", record.schema.id)
        series[tag] = [(record.steps[0], start, text)]
    return joining.from_series("run", series)


def test_rows_of_another_model_are_no_evidence():
    other = runs.network(2)
    first, second = Run(), Run(range(5, 10), other)
    for step in range(5, 10):
        second.set(step, loss=NAN)  # its model is not known
    assert joined(first, second).first_nonfinite() is None
    second.set(7, "dense_1/bias", gradient_nonfinite=1, gradient_norm=INF)
    found = joined(first, second).first_nonfinite()
    assert (found.kind, found.name) == ("gradient", "dense_1/bias")
    assert found.step == 7 and not found.loss_is_known
    norms = found.before["gradient_norm"]
    assert np.isnan(norms[:5]).all() and np.isfinite(norms[5:]).all()
    ill(first, 2, "activation")
    assert joined(first, second).first_nonfinite().name == "first/relu"


MESSAGES = {
    "input": "missing values",
    "target": "It comes from the labels",
    "weight": "something other than the optimizer set the weight",
    "layer": "So the origin is this operation, one that feeds it",
    "activation": "its own layer is the origin.",
    "output": "does after them",
    "loss": "Look at the loss function",
    "gradient": "tf.where",
    "update": "the optimizer is the origin",
}


@pytest.mark.parametrize("kind", MESSAGES)
def test_the_message_says_what_when_and_where_to_look_next(kind):
    found = ill(Run(), 3, kind).first()
    assert found.message.count("\n") == 0
    assert "NaN" in found.message and "step 3" in found.message
    assert (
        "In step 2, right before, everything recorded was finite."
        in found.message
    )
    assert MESSAGES[kind] in found.message
    assert (found.name or "The loss") in found.message


@pytest.mark.parametrize("kind", MESSAGES)
def test_the_message_tells_an_overflow_from_nan(kind):
    message = ill(Run(), 3, kind, INF).first().message
    assert "infinite" in message and "no NaN" in message.replace("none", "no")


def test_the_message_tells_what_the_numbers_before_did():
    run = Run()
    for step in range(4):
        run.set(step, "second/relu", activation_rms=10.0**step)
        run.set(step, global_gradient_norm=2.0, loss=1 / (1 + step))
    run.set(4, "second/relu", activation_nonfinite=3, activation_rms=INF)
    message = run.first().message
    assert "The activation `second/relu` became infinite (an overf" in message
    assert "Its dtype is float16, in which numbers above 65504 are" in message
    assert (
        "From step 0 to step 3, its activation_rms rose from 1 to 1e+03, the "
        "global gradient norm stayed near 2, the loss fell from 1 to 0.25 and "
        "the learning rate stayed near 0.01." in message
    )


@pytest.mark.parametrize(
    "kind, steps, expected",
    [
        ("activation", [0, 10], "after step 0 and no later than step 10"),
        ("activation", [0, 10], "All weights were still finite before step 10"),
        ("weight", [0, 10], "Train again with `every=1`"),
        ("weight", [10], "come from their initializer"),
        ("gradient", [10], "No earlier step was recorded"),
        ("gradient", [0, 0], "No step came before it."),
    ],
)
def test_the_message_says_how_exactly_the_step_is_known(kind, steps, expected):
    steps = sorted(set(steps))
    assert expected in ill(Run(steps), steps[-1], kind).first().message


def test_the_command_prints_the_message(tmp_path, capsys):
    runs.abnormal(tmp_path, "bad")
    runs.healthy(tmp_path, "good", layers=1, steps=3)
    assert main.main(["nonfinite", str(tmp_path / "bad")]) == 0
    told = capsys.readouterr().out
    assert told.startswith("The gradient of `dense_3/bias` became infinite")
    assert main.main(["nonfinite", str(tmp_path / "good")]) == 0
    told = capsys.readouterr().out
    assert told == "nothing became NaN or infinite in 3 recorded steps\n"
