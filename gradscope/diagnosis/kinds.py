"""Kinds of finding: all that is known of each, in one declaration.

A module of `rules` declares a kind above the rules that look for it. The order
of findings, the limits, causes and symptoms, the statistic that the page shows,
and the table in docs/findings.md follow from the declarations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Limit:
    """A number that a rule compares with.

    Attributes:
        default: Its value unless the user sets another one.
        meaning: The measured quantity, and the source of the default:
            "examples" are the networks of `examples/`, and "benchmark" is the
            set of networks in `benchmarks/diagnosis/tune`.
    """

    default: float
    meaning: str


@dataclasses.dataclass(frozen=True)
class Shown:
    """Where the page shows a finding.

    Attributes:
        statistics: Names of statistics, the best one first: a run may lack it.
        role: `"input"`, `"target"` or `"output"` if the finding is about rows
            of data, which have no layer; else None.
    """

    statistics: tuple[str, ...]
    role: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of finding.

    Attributes:
        name: Its public name, which stays.
        rank: Place among findings of the same severity, the lowest first.
            Ranks leave gaps, so that a new kind fits between two others.
        ceiling: The worst severity of its findings.
        what: Description of the fault for docs/findings.md, as a sentence.
        needs: Data that must be recorded, for docs/findings.md; without them
            the kind is never reported. Empty if every record has it.
        shown_by: Where the page shows it.
        shown_by_origin: Where the page shows it if `first` in the evidence
            names the place where the fault began.
        limits: Limits of its rules, by name.
        symptoms: Names of the kinds that it brings about. Where it is found,
            they are not reported, but listed in its evidence.
        symptom_of: Names of the kinds that bring it about, where those do not
            name it: so a new kind needs no change in other declarations.
        is_note_if_learned: Whether its findings are notes where the training
            went well in spite of it: a harmless fault needs no mending.
        cause_rank: Place among kinds that have symptoms. Of two causes of one
            symptom, the lowest explains it. 0 for a kind without symptoms.
    """

    name: str
    rank: int
    ceiling: str
    what: str
    shown_by: Shown
    needs: str = ""
    shown_by_origin: Mapping[str, Shown] = dataclasses.field(
        default_factory=dict
    )
    limits: Mapping[str, Limit] = dataclasses.field(default_factory=dict)
    symptoms: tuple[str, ...] = ()
    symptom_of: tuple[str, ...] = ()
    cause_rank: int = 0
    is_note_if_learned: bool = False

    def where_shown(self, evidence: Mapping[str, object]) -> Shown:
        """Choose where the page shows a finding with such evidence."""
        origin = str(evidence.get("first"))
        return self.shown_by_origin.get(origin, self.shown_by)


#: All kinds by name. Importing `gradscope.diagnosis.rules` fills it.
KINDS: dict[str, Kind] = {}


def declare(kind: Kind) -> None:
    """Register a kind of finding."""
    KINDS[kind.name] = kind


def by_rank() -> list[Kind]:
    """List all kinds in the order of their findings."""
    return sorted(KINDS.values(), key=lambda kind: kind.rank)


def by_cause_rank() -> list[Kind]:
    """List the kinds that have symptoms, in the order of explaining them."""
    causes = [kind for kind in KINDS.values() if kind.cause_rank]
    return sorted(causes, key=lambda kind: kind.cause_rank)


def symptoms_of(cause: Kind) -> set[str]:
    """Collect the names of the kinds that a kind brings about."""
    named_by_symptoms = {
        kind.name for kind in KINDS.values() if cause.name in kind.symptom_of
    }
    return named_by_symptoms.union(cause.symptoms)
