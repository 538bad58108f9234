"""Rows whose answer changed between the source model and the adapted one, and how to make the run again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from acclimate.runs.recipe import MEMORY
from acclimate.runs.report.blocks import Block, called, code, facts, paragraphs, section, table
from acclimate.runs.report.parts import duration
from acclimate.runs.report.words import NOTHING, Words, percent
from acclimate.runs.seal import evaluations

HEIGHT, WIDTH = 40.0, 160.0
"""Of the drawing of a sound or of a channel, in its own units."""


def changed(kept: Mapping[str, Any], words: Words) -> Block:
    """At most twelve rows; after the seal was opened with their labels."""
    opened = kept.get("opened")
    found = opened["changed"] if opened else kept.get("changed")
    if not found:
        return section("changed", words("changed.title"), [words("changed.nothing")], [])
    said = {"before": found["before"], "after": found["after"], "of": f"{found['of']:,}", "rows": f"{found['rows']:,}"}
    if not found["rows"]:
        return section("changed", words("changed.title"), [words("changed.lead.none", **said)], [])
    lead, known = [words("changed.lead", **said)], "mended" in found
    if known:
        lead.append(words("changed.told", mended=f"{found['mended']:,}", broken=f"{found['broken']:,}"))
    elif not opened:
        lead.append(words("changed.untold"))
    count = len(found["examples"])
    lead.append(words("changed.shown_in_turn" if known else "changed.shown", n=count))
    examples = [_example(one, words) for one in found["examples"]]
    return section("changed", words("changed.title"), lead, [{"kind": "examples", "examples": examples}])


def _example(one: Mapping[str, Any], words: Words) -> dict[str, Any]:
    shown = dict(one["shown"])
    if shown["kind"] == "image":
        shown["alt"] = words("changed.image", width=shown["of"][0], height=shown["of"][1])
    elif shown["kind"] == "pictures":
        named = {name: words(f"changed.{name}") for name in ("before", "after", "truth")}
        size = words("changed.image", width=shown["of"][0], height=shown["of"][1])
        shown["pictures"] = [
            {**each, "name": named[each["name"]], "alt": f"{size}: {named[each['name']]}"} for each in shown["pictures"]
        ]
    elif shown["kind"] == "curves":
        sound = shown["form"] == "envelope"
        told = words("changed.sound", seconds=shown["seconds"]) if sound else ""
        shown["alt"] = told or words("changed.series", channels=shown["channels"])
        shown["paths"] = [_envelope(curve) if sound else _line(curve) for curve in shown["curves"]]
    elif shown["kind"] == "values":
        shown["rest"] = words("changed.more", n=shown["more"]) if shown["more"] else ""
    effect = one.get("effect")
    answers = [(words("changed.before"), one["before"], one["before_sure"])]
    answers.append((words("changed.after"), one["after"], one["after_sure"]))
    return {
        "shown": shown,
        "answers": [(name, said, "" if sure is None else percent(sure)) for name, said, sure in answers],
        "truth": None if "truth" not in one else (words("changed.truth"), one["truth"]),
        "effect": effect,
        "badge": words(f"changed.{effect}") if effect else "",
    }


def _envelope(curve: list[list[float]]) -> str:
    """The path of a filled waveform."""
    step, middle = WIDTH / max(len(curve), 1), HEIGHT / 2
    top = [f"{k * step:.1f} {middle - high * middle * 0.95:.1f}" for k, (_, high) in enumerate(curve)]
    under = [f"{k * step:.1f} {middle - low * middle * 0.95:.1f}" for k, (low, _) in enumerate(curve)]
    return "M" + "L".join([*top, *reversed(under)]) + "Z"


def _line(curve: list[float | None]) -> str:
    """The path of a line, broken where values are missing."""
    step, middle, parts, pen = WIDTH / max(len(curve) - 1, 1), HEIGHT / 2, [], "M"
    for k, value in enumerate(curve):
        if value is None:
            pen = "M"
            continue
        parts.append(f"{pen}{k * step:.1f} {middle - value * middle * 0.9:.1f}")
        pen = "L"
    return "".join(parts)


def again(value: Mapping[str, Any], recipe: Mapping[str, Any], folder: Path, words: Words) -> Block:
    """Command, settings, data by their hashes, versions."""
    run = called(folder)
    command = f"acclimate adapt --recipe {run}/recipe.yaml -o {run}-again"
    memory = MEMORY in (*recipe.get("source", ()), *recipe.get("target", ()))
    data = [
        [words(f"honesty.{side}_name"), value["data"][side]["name"], value["data"][side]["hash"]]
        for side in ("source", "target")
        if side in value["data"]
    ]
    data += [[words("honesty.evaluation", data=""), opening["data"], opening["hash"]] for opening in evaluations(value)]
    columns = [words(f"again.data.{name}") for name in ("side", "name", "hash")]
    machine = [("acclimate", value["acclimate"]), ("seed", value["seed"])]
    machine += [(name, NOTHING if found is None else found) for name, found in value["environment"].items()]
    return section(
        "again",
        words("again.title"),
        [words("again.lead"), words("again.seconds", seconds=duration(value["seconds"]))],
        [
            paragraphs(words("again.memory")) if memory else code(words("again.command"), command),
            table(words("again.data.caption"), columns, data),
            facts(words("again.environment"), machine),
            code(
                words("again.settings"), yaml.safe_dump(dict(recipe), sort_keys=False, allow_unicode=True), folded=True
            ),
        ],
    )
