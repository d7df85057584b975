"""What the findings of a run are worth, given what is wrong with it."""

from __future__ import annotations

import dataclasses

ALARMS = ("error", "warning")


@dataclasses.dataclass(frozen=True)
class Result:
    """One training and its findings.

    Attributes:
        case: The network.
        broken: Whether its fault was there.
        findings: Worst first, as dictionaries; None if the run was lost.
        seconds: That reading and diagnosing took.
    """

    case: object
    broken: bool
    findings: list | None
    seconds: float = 0.0

    @property
    def alarms(self) -> list[dict]:
        """Findings that are no notes."""
        return [f for f in self.findings or () if f["severity"] in ALARMS]

    @property
    def named(self) -> dict | None:
        """The worst finding; of a NaN that another one explains, that one."""
        if not self.alarms:
            return None
        worst = self.alarms[0]
        cause = worst["evidence"].get("explained_by", "").partition(" in ")[0]
        return next((f for f in self.alarms if f["kind"] == cause), worst)

    @property
    def is_faulty(self) -> bool:
        """Whether there is something to be found."""
        return self.broken and not self.case.harmless

    @property
    def is_invisible(self) -> bool:
        """Whether no record could show what is wrong."""
        return self.is_faulty and bool(self.case.invisible)

    @property
    def is_identified(self) -> bool:
        """Whether it is said that something is wrong."""
        return bool(self.alarms)

    @property
    def is_right_kind(self) -> bool:
        """Whether the worst finding names the fault."""
        return bool(self.named) and bool(
            {self.named["kind"], self.alarms[0]["kind"]} & set(self.case.kinds)
        )

    @property
    def is_right_layer(self) -> bool:
        """Whether it names the right kind at a right layer, if it has one."""
        layers = self.case.layers
        return self.is_right_kind and (
            not layers or self.named["layer"] in layers
        )

    @property
    def is_good(self) -> bool:
        """Whether the user is told the right thing."""
        return self.is_right_kind if self.is_faulty else not self.alarms

    def line(self) -> str:
        """One line about it."""
        what = "broken" if self.broken else "healthy"
        what = "harmless" if self.broken and self.case.harmless else what
        what = "invisible" if self.is_invisible else what
        if self.findings is None:
            return f"lost  {what:9} {self.case.title}"
        told = ", ".join(
            f"{f['kind']}{'@' + f['layer'] if f['layer'] else ''}"
            f"{'' if f['severity'] in ALARMS else ' (note)'}"
            for f in self.findings
        )
        sign = "ok   " if self.is_good else "WRONG"
        right = f" [{', '.join(self.case.kinds)}]" if self.is_faulty else ""
        return f"{sign} {what:9} {self.case.title}{right}: {told or '-'}"


def table(results: list[Result]) -> str:
    """Return the rates of a set in a few lines of Markdown.

    Faults that no record could show count like all others, and have a column
    of their own beside the total.
    """
    faulty = [r for r in results if r.is_faulty]
    harmless = [r for r in results if r.broken and r.case.harmless]
    repaired = [r for r in results if not r.broken and r.case.faulty]
    healthy = [r for r in results if not r.broken and not r.case.faulty]
    times = sorted(r.seconds for r in results)
    lines = [
        _line("faults identified", faulty, lambda r: r.is_identified),
        _line("... and the right kind", faulty, lambda r: r.is_right_kind),
        _line("... at the right layer", faulty, lambda r: r.is_right_layer),
        _line("false alarms, healthy runs", healthy, lambda r: r.alarms),
        _line("false alarms, repaired runs", repaired, lambda r: r.alarms),
        _line("alarms, harmless faults", harmless, lambda r: r.alarms),
    ]
    if times:
        lines.append(
            f"| seconds to diagnose, median (max) | "
            f"{times[len(times) // 2]:.2f} ({times[-1]:.2f}) | | |"
        )
    head = ["| | of | share | of these, invisible |", "|---|---|---|---|"]
    return "\n".join(head + lines)


def _line(name: str, results: list, holds) -> str:
    count = sum(bool(holds(r)) for r in results)
    share = f"{100 * count / len(results):.0f} %" if results else "-"
    invisible = [r for r in results if r.is_invisible]
    part = sum(bool(holds(r)) for r in invisible)
    column = f"{part} of {len(invisible)}" if invisible else "-"
    return f"| {name} | {count} of {len(results)} | {share} | {column} |"
