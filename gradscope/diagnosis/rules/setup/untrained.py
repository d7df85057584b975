"""Rules about weights that nobody trains, though they are random.

They need the facts of the model that are recorded in its first step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradscope.diagnosis.kinds import Kind, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.wording import code, finding, join_code

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View

declare(
    Kind(
        name="random-frozen-layer",
        rank=106,
        ceiling="warning",
        what="A layer is frozen, and its weights are still the random ones of "
        "its initializer.",
        needs="model",
        shown_by=Shown(("update_to_weight_ratio",)),
        is_note_if_learned=True,  # random features may do
        cause_rank=12,
        symptoms=("nothing-learned",),
    )
)


@rule
def random_frozen_layer(view: View, limits: Limits) -> Findings:
    """Frozen layers whose weights were never loaded and never trained.

    In a `fit` nothing else trains them. Between the steps of a loop they may
    be trained on their own, as the discriminator of a GAN is.
    """
    if not view.logs:
        return
    layers = [
        fact
        for fact in view.facts.values()
        if fact.get("is_initial") is True
        and (fact.get("config") or {}).get("trainable") is False
        # Its untrained statistics have a rule of their own,
        # `norm_in_inference_mode`.
        and fact.get("class") != "BatchNormalization"
    ]
    if not layers:
        return
    names = [str(fact.get("name")) for fact in layers]
    yield finding(
        view,
        "random-frozen-layer",
        "note" if view.loss_fall > 0.9 else "warning",
        names[0],
        None,
        what=f"{join_code(names)} {_is_or_are(names)} frozen, and began with "
        "weights of the size and range that the initializer gives"
        + (" and biases that are all 0" if _any_bias(layers) else "")
        + ", so they are random",
        evidence={"layers": names, "loss_fall": view.loss_fall},
        cause="If weights were to be loaded, they were not. Possible reasons "
        "are `load_weights(..., by_name=True)` or `skip_mismatch=True` "
        "where no name or shape fits, `weights=None`, a model that was built "
        "anew after loading, or `trainable = False` on layers that were meant "
        "to be trained. Random features may be meant, too.",
        remedy="Compare a kernel before and after loading: "
        "`layer.get_weights()[0].std()`. Then load the weights, or set "
        "`layer.trainable = True` and compile.",
    )


def _any_bias(layers: list[dict[str, Any]]) -> bool:
    return any((fact.get("config") or {}).get("use_bias") for fact in layers)


def _is_or_are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


declare(
    Kind(
        name="untracked-variable",
        rank=107,
        ceiling="warning",
        what="A layer holds a `tf.Variable` that Keras does not know, so no "
        "optimizer ever gets it.",
        needs="model",
        shown_by=Shown(("update_to_weight_ratio",)),
        is_note_if_learned=True,
        cause_rank=13,
        symptoms=("nothing-learned", "missing-nonlinearity"),
    )
)


@rule
def untracked_variable(view: View, limits: Limits) -> Findings:
    """Variables in attributes of layers that Keras does not track."""
    for layer, fact in view.facts.items():
        variables = fact.get("untracked") or []
        if not variables:
            continue
        names = [str(name).rpartition("/")[2] for name, _ in variables]
        yield finding(
            view,
            "untracked-variable",
            "warning",
            layer,
            None,
            what=f"{code(layer)} holds {len(variables)} "
            f"{'variable' if len(variables) == 1 else 'variables'} that Keras "
            f"does not know ({join_code(names)}), so "
            f"{'it is' if len(variables) == 1 else 'they are'} not trained",
            evidence={"variables": names, "count": len(variables)},
            cause="Keras 3 tracks the weights that `add_weight` makes, and no "
            "`tf.Variable`, be it an attribute of the layer or in a list. It "
            "is no weight of the model: `fit` does not train it, and no file "
            "saves it.",
            remedy="Make it with `self.add_weight(shape=..., name=...)` in "
            "`build`, or as a `keras.Variable`. If it is not to be trained, "
            "make it with `trainable=False`.",
        )
