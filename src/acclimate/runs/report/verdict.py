"""The top of the page: the verdict in one sentence, and what a reader asks first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acclimate.files import path_name
from acclimate.runs.report import figures
from acclimate.runs.report.blocks import Block, arm, called, told, unchosen
from acclimate.runs.report.words import Words, number, sign

MARKS = {
    **{"helped": "good", "no_evidence": "caution", "hurt": "bad", "alone": "info"},
    **{"adapt": "info", "keep_source": "caution", "do_not_deploy": "bad"},
}


def verdict(value: Mapping[str, Any], folder: Path, words: Words) -> Block:
    """Badge, sentence, picture, what follows, why, and what to do next."""
    state, sentence = sentence_of(value, words)
    return {
        "state": state,
        "mark": MARKS[state],
        "badge": words(f"badge.{state}"),
        "sentence": sentence,
        "figure": _picture(value, words, state),
        "caption": words("verdict.figure", metric=words.metric(value["primary"])),
        "more": _more(value, words),
        "why": told(words, value["reasons"]),
        "next": _next(value, folder, words),
        "tiles": _tiles(value, words),
    }


def sentence_of(value: Mapping[str, Any], words: Words) -> tuple[str, str]:
    """The state of the run (a verdict, or before the seal is opened a decision) and its sentence."""
    opened, adapted, reference = value["verdict"], arm(value, value["adapted"]), arm(value, value["reference"])
    if opened is None:
        return _decided(value, words)
    metric = words.metric(value["primary"])
    mine = None if adapted is None else adapted["target"]
    if mine is None or reference is None or reference["target"] is None or reference is adapted:
        return _alone(value, words, metric)
    after, before = (row["metrics"][value["primary"]] for row in (mine, reference["target"]))
    difference = mine["differences"][value["primary"]]
    said = {"metric": metric, "before": number(before), "after": number(after)}
    if difference["low"] is None:
        return opened, words("verdict.few", went=_went(after - before, words), **said)
    if unchosen(value):
        return opened, words("verdict.unchosen", **said)
    if difference["value"] == 0 == difference["low"] == difference["high"]:
        return opened, words("verdict.same", **said)
    low, high = difference["low"], difference["high"]
    if opened != "no_evidence" and difference["value"] < 0:
        low, high = -high, -low
    plain = opened != "no_evidence"  # the direction is in the verb; where it may be either, the signs stay
    shown = number if plain else sign
    size = number(abs(difference["value"])) if plain else sign(difference["value"])
    between = words("interval", low=shown(low), high=shown(high))
    return opened, words(f"verdict.{opened}", went=_went(after - before, words), size=size, interval=between, **said)


def _went(change: float, words: Words) -> str:
    return words("went.rose" if change >= 0 else "went.fell")


def _decided(value: Mapping[str, Any], words: Words) -> tuple[str, str]:
    choice = value["decision"]
    if "target" not in value["data"]:
        return choice, words("verdict.do_not_deploy" if choice == "do_not_deploy" else "verdict.no_target")
    permitted = {"adapt": "verdict.adapt_permitted", "keep_source": "verdict.keep_permitted"}
    if value["permission"] and choice in permitted:
        return choice, words(permitted[choice])
    if choice == "adapt" and value["reference"] is None:
        return choice, words("verdict.untested")
    return choice, words(f"verdict.{choice}")


def _alone(value: Mapping[str, Any], words: Words, metric: str) -> tuple[str, str]:
    row = arm(value, value["model"])
    assert row is not None
    found = row["target"]
    if found is None:
        return _decided(value, words)
    bounds = found["intervals"][value["primary"]]
    said = {"metric": _begin(metric), "value": number(found["metrics"][value["primary"]])}
    if bounds is None:
        return "alone", words("verdict.alone_few", **said)
    return "alone", words("verdict.alone", interval=words.interval(bounds), **said)


def _begin(text: str) -> str:
    return text[:1].upper() + text[1:]


def _picture(value: Mapping[str, Any], words: Words, state: str) -> str:
    """The difference with its interval; nothing while there is none."""
    adapted = arm(value, value["adapted"])
    if value["verdict"] is None or state == "alone" or adapted is None or not adapted["target"]:
        return ""
    found = adapted["target"].get("differences", {}).get(value["primary"])
    if found is None or found["low"] is None or found["low"] == found["high"]:
        return ""
    shade = {"helped": "good", "hurt": "bad"}.get(value["verdict"], "muted")
    told_values = {key: sign(found[key]) for key in ("value", "low", "high")}
    title = words("verdict.figure", metric=words.metric(value["primary"]))
    description = words("verdict.figure.desc", **told_values)
    return figures.difference("verdict", title, description, found["value"], (found["low"], found["high"]), shade)


def _more(value: Mapping[str, Any], words: Words) -> list[str]:
    """What to know beside the sentence."""
    metric = words.metric(value["primary"])
    said = [] if value.get("higher_is_better", True) else [words("verdict.lower", metric=metric)]
    if value["verdict"] is None:
        return said
    decision = words(f"decision.{value['decision']}")
    said.append(words("verdict.decided", decision=decision, folder="model/", model=value["model"]))
    if len(value["arms"]) > 1 and value["regret"] is not None:
        same = value["oracle"] == value["model"]
        regret = number(value["regret"]["value"])
        key = "verdict.best_same" if same else "verdict.best"
        said.append(words(key, oracle=value["oracle"], model=value["model"], regret=regret))
    return said


def _next(value: Mapping[str, Any], folder: Path, words: Words) -> list[tuple[str, str]]:
    """Commands that a reader would give next."""
    run = called(folder)
    commands = []
    if value["verdict"] is None and "target" in value["data"]:
        command = f"acclimate evaluate {run} --data LABELLED_FILE --label COLUMN"
        commands.append((words("verdict.next.evaluate"), command))
    if value["decision"] != "do_not_deploy":
        commands.append((words("verdict.next.predict"), f"acclimate predict {run} --data FILE -o answers.csv"))
    if value["verdict"] == "helped" and value["model"] != value["adapted"]:
        other = called(folder / "arms" / path_name(value["adapted"]))
        commands.append(
            (words("verdict.next.other", arm=value["adapted"]), f"acclimate predict {other} --data FILE -o answers.csv")
        )
    return commands


def _tiles(value: Mapping[str, Any], words: Words) -> list[dict[str, str]]:
    """Four facts under the verdict."""
    tiles = []
    for side in ("source", "target"):
        found = value["data"].get(side)
        name, detail = words("tile.nothing"), ""
        if found is not None:
            rows = words.count("row", found["rows"])
            name, detail = found["name"], rows
            if "classes" in found:
                detail = words("tile.classes", rows=rows, classes=len(found["classes"]))
        tiles.append({"label": words(f"tile.{side}"), "value": name, "detail": detail})
    row = arm(value, value["model"])
    assert row is not None
    tiles.append({"label": words("tile.model"), "value": row["name"], "detail": f"{row['backbone']}, {row['tune']}"})
    opened = value["seal"]["opened"]
    state, detail = words("seal.closed"), ""
    if opened:
        state = words("seal.opened", times=words.count("time", opened))
        detail = value["seal"]["openings"][-1]["when"].replace("T", " ").split("+")[0] + " UTC"
    elif value["permission"]:
        state, detail = words("seal.permitted"), value["permission"]
    tiles.append({"label": words("tile.seal"), "value": state, "detail": detail})
    return tiles
