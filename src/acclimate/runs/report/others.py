"""Pages of other runs: an encoder that was taught without labels, a model that learned to learn, one of a robot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acclimate.files import read_json
from acclimate.runs import encoder
from acclimate.runs.meta import learned
from acclimate.runs.report import figures
from acclimate.runs.report.blocks import Block, bullets, called, facts, section, split, table, told
from acclimate.runs.report.page import NAME, put
from acclimate.runs.report.parts import duration
from acclimate.runs.report.words import NOTHING, Words, number

CONTROL = "control.json"
DOTS = {"before": "muted", "after": "target"}


def write_encoder(folder: Path, language: str | None) -> Path:
    """The page of a pretraining."""
    value, words = encoder.load(folder), Words(language or "en")
    held = [seen["held_out_loss"] for seen in value["evidence"].values() if seen["held_out_loss"]]
    sentence = words("pretrain.verdict", method=value["method"])
    if held:
        went = words("went.rose" if held[0]["after"] > held[0]["before"] else "went.fell")
        first, last = number(held[0]["before"]), number(held[0]["after"])
        sentence += words("sentence.gap") + words("pretrain.verdict.loss", went=went, first=first, last=last)
    columns = [words(f"pretrain.{name}") for name in ("side", "loss_before", "loss_after", "rank_before", "rank_after")]
    rows = [
        [
            words(f"honesty.{side}_name"),
            *(number((seen["held_out_loss"] or {}).get(when)) for when in ("before", "after")),
            *(number(seen["effective_rank"][when]) for when in ("before", "after")),
        ]
        for side, seen in value["evidence"].items()
    ]
    blocks = [table(words("pretrain.caption"), columns, rows, numbers=range(1, 5)), _notes(value, words)]
    top = {
        "mark": "info",
        "badge": words("badge.encoder"),
        "sentence": sentence,
        "next": [
            (words("pretrain.next"), f"acclimate adapt --source ... --target ... --backbone {called(folder)} -o RUN")
        ],
    }
    parts = [section("figures", words("other.figures"), [], blocks), _facts(value, words)]
    return _write(folder, value, words, top, parts, words("pretrain.kind"))


def write_learner(folder: Path, language: str | None) -> Path:
    """The page of a meta-training."""
    value, words = learned.record(folder), Words(language or "en")
    state, sentence = _judged(value, words)
    marks = {"helped": "good", "no_evidence": "caution", "hurt": "bad"}
    top = {
        "mark": marks.get(state, "info"),
        "badge": words(f"badge.{state}"),
        "sentence": sentence,
        "next": [(words("meta.next"), f"acclimate evaluate {called(folder)} --data NEW_CLASSES")],
    }
    evaluated = [block for k, found in enumerate(value["evaluations"]) for block in _evaluation(k, found, words)]
    parts = [section("figures", words("other.evaluations"), [], evaluated)] if evaluated else []
    parts.append(_facts(value, words, _notes(value, words)))
    return _write(folder, value, words, top, parts, words("meta.kind"))


def write_control(folder: Path, language: str | None) -> Path:
    """The page of a robot's run: the error one step ahead of bodies held out, before and after they were adapted to."""
    value, words = read_json(folder / CONTROL), Words(language or "en")
    asked, held = value["settings"], value["held_out"]
    method, before, after = asked["method"]["name"], held["before"], held["after"]
    shown = {"first": number(before), "last": number(after), "better": held["better"], "bodies": held["bodies"]}
    went = words("went.fell" if after < before else "went.rose")
    sentence = words("control.verdict", env=asked["env"], method=method, seconds=f"{asked['seconds']:g}")
    top = {
        "mark": "good" if 2 * held["better"] > held["bodies"] and after < before and not _worse(value) else "caution",
        "badge": words("badge.robot"),
        "sentence": words("sentence.gap").join(
            [sentence, words("control.verdict.error", went=went, **shown), *_played(value, words)]
        ),
        "next": [(words("control.next"), f"acclimate control --adapt {called(folder)} --data TRANSITIONS.csv -o RUN")],
    }
    title, error = words("control.caption", bodies=held["bodies"]), words("control.error")
    points = [(words(f"control.{when}"), held[when], None, colour) for when, colour in DOTS.items()]
    values = "; ".join(f"{name} {number(each)}" for name, each, _, _ in points)
    picture = figures.dots("control", title, words("control.figure.desc", metric=error, values=values), error, points)
    rows = [[name, number(each)] for name, each, _, _ in points]
    blocks = [split(picture, title, table(title, [words("other.what"), error], rows, numbers=(1,)))]
    if value.get("played"):
        columns = [words(f"control.{name}") for name in ("body", "before", "after")]
        rows = [[_body(row), number(row["unadapted"]), number(row["adapted"])] for row in value["played"]]
        blocks.append(table(words("control.played"), columns, rows, numbers=(1, 2)))
    pairs = [(name, asked[name]) for name in ("env", "bodies", "history", "seed")] + [("method", method)]
    pairs += [("transitions", f"{value['transitions']:,}"), ("seconds of training", duration(value["seconds"]))]
    pairs += [("acclimate", value["acclimate"]), *value["environment"].items()]
    known = facts("", [(name, NOTHING if found is None else found) for name, found in pairs])
    parts = [
        section("figures", words("other.figures"), [], blocks),
        section("facts", words("other.facts"), [], [known]),
    ]
    return _write(folder, {"modality": words("modality.robot")}, words, top, parts, words("control.kind"))


def _worse(value: Mapping[str, Any]) -> bool:
    """Whether most of the bodies that were played did no better with an adaptation."""
    played = value.get("played", [])
    return bool(played) and 2 * sum(row["adapted"] > row["unadapted"] for row in played) <= len(played)


def _played(value: Mapping[str, Any], words: Words) -> list[str]:
    """In a sentence what the adaptation did to the bodies that were played."""
    played = value.get("played", [])
    rose = sum(row["adapted"] > row["unadapted"] for row in played)
    return [words("control.verdict.played", rose=rose, bodies=len(played))] if played else []


def _body(row: Mapping[str, Any]) -> str:
    """What is unlike all of the training in a body that was played: a mass by its factor, a delay in steps."""
    change = row["change"]
    return f"{change} {row[change]}" if change == "delay" else f"{change} × {row[change]:.3g}"


def _judged(value: Mapping[str, Any], words: Words) -> tuple[str, str]:
    """The last evaluation, else held-out classes, else that nothing is known yet."""
    if value["evaluations"]:
        last = value["evaluations"][-1]
        found = last["metrics"][last["primary"]]
        return last["verdict"], words(
            f"meta.verdict.{last['verdict']}",
            metric=words.metric(last["primary"]),
            value=number(found["mean"]),
            interval=words.interval((found["low"], found["high"])),
        )
    sentence = words("meta.verdict.open", method=value["method"])
    if value["held_out"]:
        name, found = next(iter(value["held_out"].items()))
        interval = words.interval((found["low"], found["high"]))
        shown = {"metric": words.metric(name), "value": number(found["mean"]), "interval": interval}
        sentence += words("sentence.gap") + words("meta.verdict.held", episodes=found["episodes"], **shown)
    return "learner", sentence


def _evaluation(place: int, found: Mapping[str, Any], words: Words) -> list[Block | None]:
    """One evaluation beside its baselines."""
    metric = words.metric(found["primary"])
    named = {words("other.model"): found["metrics"][found["primary"]]}
    named |= {words("other.baseline", name=name): each[found["primary"]] for name, each in found["baselines"].items()}
    points = [
        (name, each["mean"], (each["low"], each["high"]), "muted" if place_ else "target")
        for place_, (name, each) in enumerate(named.items())
    ]
    values = "; ".join(f"{name} {words.between(score, bounds)}" for name, score, bounds, _ in points)
    told_values = words("arms.figure.desc", metric=metric, values=values)
    title = f"{found['data']}: {metric}"
    picture = figures.dots(f"evaluation-{place}", title, told_values, metric, points)
    rows = [[name, (number(each["mean"]), words.interval((each["low"], each["high"])))] for name, each in named.items()]
    return [split(picture, title, table(title, [words("other.what"), metric], rows, numbers=(1,)))]


def _notes(value: Mapping[str, Any], words: Words) -> Block | None:
    return bullets(words("honesty.notes"), told(words, value["notes"]))


def _facts(value: Mapping[str, Any], words: Words, *more: Block | None) -> Block:
    """What was done, in columns."""
    pairs = [(name, value[name]) for name in ("method", "backbone", "tune", "seed", "steps", "planned")]
    pairs += [("seconds", duration(value["seconds"])), ("acclimate", value["acclimate"])]
    pairs += [(name, NOTHING if found is None else found) for name, found in value["environment"].items()]
    return section("facts", words("other.facts"), [], [*more, facts("", pairs)])


def _write(
    folder: Path, value: Mapping[str, Any], words: Words, top: Mapping[str, Any], parts: list[Block], kind: str
) -> Path:
    name = folder.resolve().name
    plain = {"figure": "", "caption": "", "more": [], "why": [], "tiles": []}
    kicker = words.maybe(f"modality.{value['modality']}", value["modality"])
    page = {
        "title": words("page.title", run=name),
        "kind": kind,
        "run": name,
        "kicker": kicker,
        "verdict": {**plain, **top},
        "sections": parts,
    }
    return put(folder / NAME, page, words)
