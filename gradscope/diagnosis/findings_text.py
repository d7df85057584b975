"""Findings as text for a terminal, and as JSON for programs."""

from __future__ import annotations

import json
import re

from gradscope.diagnosis.evidence_text import evidence
from gradscope.diagnosis.finding import Finding
from gradscope.terminal import paragraph, printable

#: Version of the JSON format. It goes up when a field changes its meaning or is
#: removed; programs that read the JSON can rely on that.
JSON_VERSION = 1

_COLOURS = {"error": "31;1", "warning": "33;1", "note": "36"}


def text(run: str, findings: list[Finding], *, colour: bool = False) -> str:
    """Format the findings of a run for a terminal.

    Args:
        run: Name of the run.
        findings: Findings of the run, in the order in which to print them.
        colour: Whether to colour severities with ANSI codes.
    """
    if not findings:
        return f"{printable(run)}: nothing found"
    parts = [f"{printable(run)}: {_count(findings)}"]
    for finding in findings:
        head = finding.severity
        if colour:
            head = f"\033[{_COLOURS[finding.severity]}m{head}\033[0m"
        where = f" in `{printable(finding.layer)}`" if finding.layer else ""
        parts.append(f"\n{head}: {finding.kind}{where}, {finding.since}")
        parts += [
            paragraph(f"{finding.what}."),
            paragraph(f"Why: {finding.cause}"),
            paragraph(f"What to do: {finding.remedy}"),
        ]
        numbers = evidence(finding)
        if numbers:
            parts.append(paragraph(f"Evidence: {numbers}"))
    return "\n".join(parts)


def markdown(findings: list[Finding]) -> str:
    """Format the findings of a run for TensorBoard's tab Text.

    Texts that Markdown would interpret, as names of layers, are code there.
    """
    parts = []
    for finding in findings:
        where = f" in {_plain(f'`{finding.layer}`')}" if finding.layer else ""
        parts.append(
            f"**{finding.severity}: {finding.kind}**{where}, {finding.since}"
            f"\n\n{_plain(finding.what)}.\n\n*Why:* {_plain(finding.cause)}"
            f"\n\n*What to do:* {_plain(finding.remedy)}\n\n"
            f"*Evidence:* {_plain(evidence(finding))}"
        )
    return "\n\n---\n\n".join(parts)


def _plain(text: str) -> str:
    """Escape a text for Markdown, except for code between backquotes.

    Words that Markdown would interpret, such as names of layers, become code:
    most readers of event files show the text as it is.
    """
    text = printable(text)
    parts = text.split("`")
    if len(parts) % 2 == 0 or not all(parts[1:-1]):
        parts = [text]  # an odd number of backquotes: one is part of a name
    last = len(parts) - 1
    for index in range(0, len(parts), 2):
        words = re.split(r"(\s+)", parts[index])
        for place, word in enumerate(words):
            # Next to code, further code would join it.
            joins = (place == 0 and index > 0) or (
                place == len(words) - 1 and index < last
            )
            if joins or "`" in word:
                words[place] = _MARKUP.sub(_entity, word)
            elif _MARKUP.search(word):
                words[place] = _NAME.sub(r"\1`\2`\3", word, count=1)
        parts[index] = "".join(words)
    # Some characters are markup only where a line begins: "1. " and "# ".
    return re.sub(r"^[^A-Za-z`&]", _entity, "`".join(parts))


_MARKUP = re.compile(r"[\\`*_\[\]<>&]")

# A word, without the punctuation around it.
_NAME = re.compile(r"^([(\"']*)(.*?)([).,;:!?\"']*)$")


def _entity(character: re.Match[str]) -> str:
    return f"&#{ord(character[0])};"


def to_json(
    runs: dict[str, list[Finding]], problems: list[dict[str, object]]
) -> str:
    """Format findings and problems of several runs as JSON, as for `--json`.

    The text holds `{"version": 1, "runs": [{"run", "findings": [...]}],
    "problems": [{"run", "code", "message"}]}`; a finding has the fields of
    `Finding.to_dict`.

    Args:
        runs: Findings by the name of their run.
        problems: Runs that could not be read, or only in part.
    """
    return json.dumps(
        {
            "version": JSON_VERSION,
            "runs": [
                {"run": run, "findings": [f.to_dict() for f in findings]}
                for run, findings in runs.items()
            ],
            "problems": problems,
        },
        indent=1,
        allow_nan=False,
    )


def _count(findings: list[Finding]) -> str:
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.severity] = counts.get(finding.severity, 0) + 1
    return ", ".join(
        f"{count} {severity}{'s' if count > 1 else ''}"
        for severity, count in counts.items()
    )
