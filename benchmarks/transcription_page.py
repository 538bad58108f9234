"""The part of docs/benchmarks.md on transcription."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean
from typing import Any

from benchmarks.common import table

ARMS = {
    "as_it_is": "Whisper tiny.en as it is (30 s)",
    "others": "taught by four other speakers, clean",
    "others+suta": "the same, SUTA on each string",
    "speaker": "then ten labelled strings of the speaker",
    "ctc": "CTC from scratch, four other speakers",
    "ctc+suta": "the same, SUTA on each string",
}


def section(found: Mapping[str, Any]) -> str:
    """Word error rates by condition, what test-time adaptation did at worst, and yes and no."""
    digits, yes_no = found["digits"], found["yes_no"]
    conditions = list(digits[0]["arms"])
    rows = [
        [title, *(_rates(digits, condition, arm, "wer") for condition in conditions)] for arm, title in ARMS.items()
    ]
    rows.insert(1, ["as it is, spelling aside", *(_rates(digits, name, "as_it_is", "spaced") for name in conditions)])
    seeds = sorted({cell["seed"] for cell in digits})
    speakers = len({cell["speaker"] for cell in digits})
    measured = f"Measured so far: {len(digits)} pairs of speaker and seed ({speakers} speakers, seeds {seeds})."
    told = (
        f"{' '.join(found['protocol'].split())} {measured} Word error rates in per cent: the mean (the worst speaker)."
    )
    parts = [
        "## Transcription",
        told,
        table(["digit strings", *conditions], rows),
        _at_test_time(digits, conditions),
    ]
    if yes_no:
        plain, tuned = (mean(cell["arms"][arm]["wer"] for cell in yes_no) for arm in ("as_it_is", "speaker"))
        parts.append(f"Yes and no in Hebrew (seeds: {len(yes_no)}): {plain:.1f} as it is, {tuned:.1f} after ten clips.")
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _rates(digits: list[Mapping[str, Any]], condition: str, arm: str, name: str) -> str:
    by: dict[str, list[float]] = {}
    for cell in digits:
        by.setdefault(cell["speaker"], []).append(cell["arms"][condition][arm][name])
    means = [mean(values) for values in by.values()]
    return f"{mean(means):.1f} ({max(means):.1f})"


def _at_test_time(digits: list[Mapping[str, Any]], conditions: list[str]) -> str:
    """The greatest harm and gain of SUTA, over speakers, seeds and conditions."""
    said = []
    for arm, title in (("others", "Whisper"), ("ctc", "CTC from scratch")):
        changes = [
            cell["arms"][name][f"{arm}+suta"]["wer"] - cell["arms"][name][arm]["wer"]
            for cell in digits
            for name in conditions
        ]
        worse = sum(change > 1 for change in changes)
        said.append(
            f"{title} {mean(changes):+.1f} on the mean, {max(changes):+.1f} at worst, {min(changes):+.1f} at best, "
            f"more than one point worse in {worse} of {len(changes)}"
        )
    return f"What SUTA changes, in points (less is better): {'; '.join(said)}."
