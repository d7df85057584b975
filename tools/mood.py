"""Names docstrings of functions that begin with a verb in the third person.

Docstrings tell what to expect of a call in the imperative, as in "Compute the
norm", or name its result, as in "Names of the layers".
"""

from __future__ import annotations

import re

#: Verbs with which docstrings begin; a new one goes here.
VERBS = (
    "add adopt advance align append apply ask assert assign average begin "
    "break build cache call capture cast change check choose classify clip "
    "close collect combine compare compute concatenate convert copy count "
    "create decode derive describe detect diagnose divide drain draw drop "
    "encode end escape estimate evaluate expand explain feed fetch fill find "
    "fit flatten flush follow forget format gather get give group guess hold "
    "install join judge keep let list load locate lock look make map mark "
    "match measure merge move name normalise observe open order pair "
    "parametrize parse poll press print probe put quote raise read record "
    "reduce register release remember remove repeat replace replay report "
    "reset reshape resolve respond restore return run save say schedule "
    "select send serialize serve set shift show simulate sort split stack "
    "start state stop store strip sum summarise take test trace train turn "
    "unwrap update validate wait warn wrap write yield"
).split()

#: Words behind a plural: "Copies of a row" has no verb, "Copies a row" has.
_AFTER_NOUN = (
    "of that whose which in for from are by at as is to with without on and so "
    "than"
).split()


def third_person(verb: str) -> str:
    """Conjugate a verb: `copy` to `copies`."""
    if verb.endswith("y"):
        return f"{verb[:-1]}ies"
    return verb + ("es" if verb.endswith(("s", "sh", "ch", "x")) else "s")


_FORMS = {third_person(verb).capitalize() for verb in VERBS}


def is_third_person(docstring: str) -> bool:
    """Return whether a docstring begins with such a verb."""
    words = re.match(r"([A-Z][a-z]+) ([\w`]+)", docstring.replace("\n", " "))
    return (
        words is not None and words[1] in _FORMS and words[2] not in _AFTER_NOUN
    )
