"""The findings of `doctor` for the terminal, in 80 columns."""

import textwrap
from collections.abc import Iterator

from rich.text import Text

from ann2sdnn.eval.doctor.doctor import Checkup, Finding
from ann2sdnn.eval.doctor.parts import NEEDED_BY
from ann2sdnn.support.terminal import WIDTH

_NAME, _STATE = 10, 9  # columns
_STYLES = {"ok": "green", "absent": "yellow", "broken": "bold red", "note": "yellow"}


def checkup_text(checkup: Checkup) -> Text:
    """Facts, what was tried, and which commands work; a command that mends has its own line."""
    lines = Text()
    for fact in checkup.machine:
        _append(lines, fact.name, "note" if fact.advice else "ok", fact.found)
        _append_below(lines, fact.advice)
    for finding in checkup.findings:
        _append(lines, finding.name, state(finding, checkup), finding.found or finding.reason)
        if not finding.works:
            _append_below(lines, f"Needed by {finding.enables or 'every command'}.")
            if finding.remedy:  # unbroken, so that it can be copied
                lines.append(f"{' ' * (_NAME + _STATE)}{finding.remedy}\n", "bold")
    lines.append("\n")
    for sentence in _verdict(checkup):
        lines.append("\n".join(textwrap.wrap(sentence, WIDTH)) + "\n")
    lines.rstrip()
    return lines


def state(finding: Finding, checkup: Checkup) -> str:
    """One word: "ok", "absent" (and nobody asked for it) or "broken"."""
    if finding.works:
        return "ok"
    return "broken" if finding in checkup.broken else "absent"


def _verdict(checkup: Checkup) -> Iterator[str]:
    working = [name for name, works in checkup.commands.items() if works]
    others = [name for name, works in checkup.commands.items() if not works]
    yield f"These commands work here: {', '.join(working)}."
    if others:
        why = [f"{name} ({NEEDED_BY[name]})" if name in NEEDED_BY else name for name in others]
        yield f"These do not: {', '.join(why)}."
    broken = [finding.name for finding in checkup.broken]
    if broken:
        yield f"To be mended first: {', '.join(broken)}."


def _append(lines: Text, name: str, word: str, found: str) -> None:
    lines.append(f"{name:<{_NAME}}")
    lines.append(f"{word:<{_STATE}}", _STYLES[word])
    first, *more = textwrap.wrap(found, WIDTH - _NAME - _STATE) or [""]
    lines.append(f"{first}\n")
    for line in more:
        lines.append(f"{' ' * (_NAME + _STATE)}{line}\n")


def _append_below(lines: Text, sentence: str) -> None:
    for line in textwrap.wrap(sentence, WIDTH - _NAME - _STATE):
        lines.append(f"{' ' * (_NAME + _STATE)}{line}\n")
