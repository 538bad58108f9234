"""Sections of the page on the data and the domains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from acclimate.runs.report import figures
from acclimate.runs.report.blocks import Block, bullets, listed, paragraphs, section, table, told
from acclimate.runs.report.blocks import figures as drawn
from acclimate.runs.report.drawing import CLASSES
from acclimate.runs.report.words import NOTHING, Words, number, percent
from acclimate.runs.seal import evaluations

USES = ("source", "source_validation", "target", "labelled_target", "labelled_target_validation")
UNLABELLED = "target"
MOST_CLASSES = 12
"""Of which shares are drawn."""


def honesty(value: Mapping[str, Any], words: Words) -> Block:
    """Which labels were used for what, how often the seal was opened, and which rows both domains have."""
    data, seal = value["data"], value["seal"]
    rows = [
        [words(f"honesty.{name}"), f"{count:,}", words(f"honesty.{name}.use", column=value["permission"]),
         words("no" if name == UNLABELLED else "yes")]
        for name in USES
        if (count := data["split"].get(name, 0))
    ]  # fmt: skip
    for opening in seal["openings"]:
        when = opening["when"].replace("T", " ").replace("+00:00", " UTC")
        use = "evaluation" if opening.get("for", "evaluate") == "evaluate" else opening["for"]
        name = words(f"honesty.{use}", data=opening["data"])
        rows.append([name, f"{opening['rows']:,}", words(f"honesty.{use}.use", when=when), words("yes")])
    columns = [words(f"honesty.{name}") for name in ("what", "rows", "used", "labels")]
    said = [*_seal(value, words), *_seen(value, words), *_overlaps(data, words)]
    return section(
        "honesty",
        words("honesty.title"),
        [words("honesty.lead")],
        [
            table(words("honesty.caption"), columns, rows, numbers=(1,)),
            paragraphs(*said),
            bullets(words("honesty.notes"), told(words, data.get("notes", ()))),
        ],
    )


def _seal(value: Mapping[str, Any], words: Words) -> list[str]:
    opened, permitted = value["seal"]["opened"], value["permission"]
    if "target" not in value["data"]:
        return [words("honesty.none")]
    said = [words("honesty.permitted", column=permitted)] if permitted else []
    if opened:
        said.append(words("honesty.opened", times=words.count("time", opened)))
        return said + ([words("honesty.opened_again")] if opened > 1 else [])
    return said or [words("honesty.sealed")]


def _seen(value: Mapping[str, Any], words: Words) -> list[str]:
    if not (evaluated := evaluations(value)):
        return []
    last = evaluated[-1]
    said = [
        words(f"honesty.{key}", n=f"{last[name]:,}")
        for key, name in (("trained_on", "trained_on"), ("seen", "seen_unlabelled"))
        if last[name]
    ]
    return said or [words("honesty.unseen")]


def _overlaps(data: Mapping[str, Any], words: Words) -> list[str]:
    said = []
    if "overlap" in data:
        both = data["overlap"]
        said.append(words("honesty.overlap", **both) if any(both.values()) else words("honesty.no_overlap"))
    for side in ("source", "target"):
        twins = data.get(side, {}).get("duplicates", {})
        if any(twins.values()):
            found = [words(f"honesty.twins.{kind}", n=f"{count:,}") for kind, count in twins.items() if count]
            side_name = words(f"honesty.{side}_name").capitalize()
            said.append(words("honesty.twins", side=side_name, found=listed(words, found)))
    return said


def gap(value: Mapping[str, Any], kept: Mapping[str, Any], words: Words) -> Block | None:
    """How far the domains are apart, with pictures; nothing without a target."""
    if "target" not in value["data"]:
        return None
    views = kept.get("views", [])
    shifts = kept.get("shifts", [])
    columns = [words(f"gap.shifts.{name}") for name in ("name", "score", "detail")]
    rows = [[shift["name"], number(shift["score"]), words.told(shift["detail"])[0]] for shift in shifts]
    shares, shares_told = _shares(value, words)
    blocks = [
        drawn(*_by_domain(views, words)),
        drawn(*_by_class(views, kept.get("classes"), words), *shares),
        *shares_told,
        table(words("gap.shifts.caption"), columns, rows, numbers=(1,)),
        None if rows or not kept else paragraphs(words("gap.shifts.none")),
        _columns(value, words),
    ]
    return section("gap", words("gap.title"), _apart(views, words), blocks)


def _apart(views: Sequence[Mapping[str, Any]], words: Words) -> list[str]:
    """The gap before and after."""
    found = [view["gap"] for view in views if view["gap"] is not None]
    if not found:
        return [words("gap.lead.few" if views else "gap.lead.nothing")]
    said = [words("gap.lead.before", before=words.between(found[0]["accuracy"], found[0]["interval"]))]
    if len(found) > 1:
        before, after = found[0], found[1]
        closer = None not in (before["interval"], after["interval"]) and after["interval"][1] < before["interval"][0]
        key = "gap.lead.closer" if closer else "gap.lead.after"
        said.append(words(key, after=words.between(after["accuracy"], after["interval"])))
    return said


def _by_domain(views: Sequence[Mapping[str, Any]], words: Words) -> list[tuple[str, str]]:
    """The rows of both domains, before and after."""
    found = []
    for k, view in enumerate(views):
        title = words("gap.by_domain", arm=view["arm"])
        told_gap = "" if view["gap"] is None else words("gap.told", accuracy=number(view["gap"]["accuracy"]))
        counts = {name: len(view[name]) for name in ("source", "target")}
        description = words("gap.by_domain.desc", share=percent(view["share"]), gap=told_gap, **counts)
        groups = [
            (words("honesty.source_name"), view["source"], "source", "o"),
            (words("honesty.target_name"), view["target"], "target", "."),
        ]
        found.append((figures.scatter(f"domains-{k}", title, description, groups), title))
    return found


def _by_class(
    views: Sequence[Mapping[str, Any]], classes: Mapping[str, Any] | None, words: Words
) -> list[tuple[str, str]]:
    """The same rows by class, of the adapted arm; the largest classes have colours of their own."""
    if not views or classes is None:
        return []
    view, names = views[-1], classes["names"]
    sizes = [classes["source"].count(k) for k in range(len(names))]
    largest = sorted(range(len(names)), key=lambda k: -sizes[k])[: len(CLASSES)]
    groups = []
    rest: dict[str, list[Any]] = {"source": [], "target": []}
    for side, marker in (("source", "o"), ("target", ".")):
        for k in sorted(largest):
            points = [point for point, own in zip(view[side], classes[side], strict=False) if own == k]
            shade = CLASSES[sorted(largest).index(k)]
            groups.append((names[k] if side == "source" else "_", points, shade, marker))
        rest[side] = [point for point, own in zip(view[side], classes[side], strict=False) if own not in largest]
    if any(rest.values()):
        groups += [(words("gap.other"), rest["source"], "muted", "o"), ("_", rest["target"], "muted", ".")]
    title = words("gap.by_class", arm=view["arm"])
    return [(figures.scatter("classes", title, words("gap.by_class.desc", arm=view["arm"]), groups), title)]


def _shares(value: Mapping[str, Any], words: Words) -> tuple[list[tuple[str, str]], list[Block | None]]:
    """Class shares of source and target, and what speaks against them."""
    shares = value.get("shares")
    if shares is None:
        return [], []
    names = list(shares["source"])[:MOST_CLASSES]
    bounds = shares["intervals"] or {}
    series = [
        (words("gap.shares.source"), [shares["source"].get(name) for name in names], [None] * len(names), "source"),
        (
            words("gap.shares.target"),
            [shares["estimated"].get(name) for name in names],
            [bounds.get(name) for name in names],
            "target",
        ),
    ]
    title = words("gap.shares")
    picture = figures.bars("shares", title, words("gap.shares.desc"), names, series)
    said = []
    if shares["stated"]:
        given = words("list.comma").join(f"{name} {number(share)}" for name, share in shares["stated"].items())
        said.append(words("gap.shares.stated", shares=given))
    if shares["hinge"] >= 0.01:
        said.append(words("gap.shares.hinge", share=percent(shares["hinge"])))
    doubts = bullets(words("gap.shares.doubt"), told(words, shares["doubts"]))
    return [(picture, title)], [paragraphs(*said), doubts]


def _columns(value: Mapping[str, Any], words: Words) -> Block | None:
    apart = value["data"].get("columns")
    if not apart or not (apart["source"] or apart["target"]):
        return None
    sides = {side: listed(words, [str(name) for name in apart[side]]) or NOTHING for side in ("source", "target")}
    return paragraphs(words("gap.columns", **sides))


def duration(seconds: float) -> str:
    """``8.2 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f}\u00a0s"
    hours, minutes = divmod(whole // 60, 60)
    told = f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s"
    return told.replace(" ", "\u00a0")  # in one line
