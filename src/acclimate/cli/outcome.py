"""How a run is told: what was found before training, and what came out of it."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acclimate.cli.show import between, counts, duration, number, put, say, table
from acclimate.digits import four

WORTH = 0.01
"""Share of answers that must hinge on the target's class shares before they are asked for."""
DECISIONS = {
    "adapt": "adapt: the adapted model is the one to use",
    "keep_source": "keep_source: the model that was not adapted is the one to use",
    "do_not_deploy": "do_not_deploy: no model of this run is fit for the target",
}
UNTESTED = "adapt: the only model of this run; whether adapting helps was not tested, as there is no other"


def found(args: argparse.Namespace, value: Mapping[str, Any]) -> None:
    """What the data are, before training."""
    say(args, *value["data"]["notes"], *data_lines(value["data"]))
    say(args, f"setting: {value['setting']}; arms: {', '.join(value['arms'])}")


def data_lines(data: Mapping[str, Any]) -> list[str]:
    """Rows, classes, duplicates and overlap, a line each."""
    lines = []
    for side in ("source", "target"):
        if side in data:
            lines.append(f"{side}: {_domain(data[side])}")
    if any(data.get("overlap", {}).values()):
        shared = data["overlap"]
        lines.append(f"overlap: {shared['exact']} source rows are in the target too, {shared['near']} more nearly so")
    return lines


def _domain(domain: Mapping[str, Any]) -> str:
    parts = [f"{domain['name']}, {domain['rows']} rows"]
    if "classes" in domain:
        parts.append(f"{len(domain['classes'])} classes ({counts(domain['classes'])})")
    if "range" in domain:
        low, middle, high = map(four, domain["range"])
        parts.append(f"labels {low} to {high} (median {middle})")
    twins = domain["duplicates"]
    if twins["exact"] or twins["near"]:
        parts.append(f"{twins['exact']} exact and {twins['near']} near duplicates")
    if twins["conflicting"]:
        parts.append(f"{twins['conflicting']} rows whose twins have other labels")
    return ", ".join(parts)


def outcome(args: argparse.Namespace, result: Mapping[str, Any]) -> None:
    """The arms, the decision with its reasons, and what to do next."""
    put(args, result, *summary(result))
    run = shlex.quote(args.folder)
    say(
        args,
        "",
        f"written to {args.folder} in {duration(result['seconds'])}; {_seal(result)}.",
        *report_line(args.folder),
        "Next:",
        f"  acclimate predict {run} --data FILE -o answers.csv",
        *_next(result, run),
    )


def report_line(folder: str) -> list[str]:
    """Where the page is that a person reads, if there is one."""
    page = Path(folder) / "report.html"
    return [f"report: {page}"] if page.is_file() else []


def summary(result: Mapping[str, Any]) -> list[str]:
    """The arms and the decision with its reasons."""
    from acclimate.runs.result import CUT

    reasons = (f"  - {reason}" for reason in result["reasons"])
    opened = [regret_line(result)] if result["oracle"] and len(result["arms"]) > 1 else []
    return [
        leaderboard(result),
        *direction(result),
        *(f"warning: {note}" for note in result["data"]["notes"] if note.startswith(CUT)),
        "",
        f"decision: {UNTESTED if untested(result) else DECISIONS[result['decision']]}",
        *reasons,
        *forgotten_line(result),
        *opened,
        *members_line(result),
        *privacy_lines(result.get("privacy")),
        *shares_lines(result.get("shares")),
        *certainty_lines(result.get("certainty")),
        *group_lines(result.get("fairness")),
    ]


def untested(result: Mapping[str, Any]) -> bool:
    """Whether a model was adapted with none beside it."""
    return result["decision"] == "adapt" and result["reference"] is None and not result["permission"]


def privacy_lines(spent: Mapping[str, Any] | None) -> list[str]:
    """What a private training has spent, and on what it rests."""
    if spent is None:
        return []
    each = " and ".join(f"epsilon {number(value)} on the {of}" for of, value in spent["spent"].items())
    free = f"; the {spent['unprotected'][0]}'s rows are not protected" if spent["unprotected"] else ""
    return [
        f"privacy: {each} at delta {spent['delta']:g} ({spent['accountant']}, noise {number(spent['noise'])}, clip "
        f"{spent['clip']:g}, Poisson sampling, one row more or less){free}; only model/ is private"
    ]


def forgotten_line(result: Mapping[str, Any]) -> list[str]:
    """What training on labels of the target has cost on the source."""
    arms = {row["name"]: row["source_validation"] for row in result["arms"]}
    adapted, reference, primary = result["adapted"], result["reference"], result["primary"]
    taught = result["permission"] and result["data"]["split"]["labelled_target"]
    if not taught or not arms.get(adapted) or not arms.get(reference):
        return []
    own, other = (number(arms[name]["metrics"][primary]) for name in (adapted, reference))
    return [f"on held-out rows of the source, {adapted} has {primary} {own}, and {reference} {other}"]


PROMISES = {
    "exchangeable": "sets keep their coverage",
    "weighted": "sets keep their coverage if inputs alone changed",
    "untested": "sets keep their coverage on rows like the source's",
    "refused": "no sets",
}


def certainty_lines(certainty: Mapping[str, Any] | None) -> list[str]:
    """What is promised of prediction sets, and what labels said of it."""
    from acclimate.runs.report.certainty import short_of

    if certainty is None:
        return []
    lines = [f"certainty: {PROMISES[certainty['promise']]}: {certainty['why']}"]
    target = certainty["target"]
    if target is not None and (here := (target["sets"] or {}).get("0.9")):
        low, high = here["interval"]
        lines.append(
            f"coverage of 90 % sets: {here['coverage']:.1%} [{low:.1%}, {high:.1%}] of {target['rows']} labelled rows"
        )
        lines += [f"  {sentence['en']}" for sentence in short_of(here, 0.9)]
    if target is not None and target["calibration"] is not None:
        error = target["calibration"]["ece"]
        lines.append(f"calibration error: {error['deployed']:.3f} as deployed, {error['none']:.3f} uncalibrated")
    return lines


def group_lines(value: Mapping[str, Any] | None) -> list[str]:
    """How groups of people are treated, and whether adaptation changed it."""
    from acclimate.runs.fairness import lines

    return [] if value is None else lines(value)


def leaderboard(result: Mapping[str, Any]) -> str:
    """Every arm with its label-free scores and, once the seal was opened, its true ones; then the best comes first."""
    primary, rows = result["primary"], result["arms"]
    scored = [row for row in rows if row["target"]]
    if result["oracle"]:  # the best is at one end, whatever the direction of the metric
        best = next(row["target"]["metrics"][primary] for row in scored if row["name"] == result["oracle"])
        scored.sort(key=lambda row: abs(row["target"]["metrics"][primary] - best))
        rows = [*scored, *(row for row in rows if not row["target"])]
    return table([_arm(row, result) for row in rows])


def direction(value: Mapping[str, Any]) -> list[str]:
    """A word on a primary metric of which less is better."""
    return [] if value.get("higher_is_better", True) else [f"{value['primary']}: lower is better"]


def members_line(result: Mapping[str, Any]) -> list[str]:
    """Which arms the average of auto is made of, or which one it is."""
    stages = [stage for row in result["arms"] if row["name"] == "auto" for stage in row["stages"]]
    learned = [f"auto learned from the average of {', '.join(s['members'])}" for s in stages if "members" in s]
    picked = "auto is {picked}, the best of {of} arms on held-out labels of the target, where its figure flatters"
    return learned + [picked.format(**stage) for stage in stages if stage.get("judged")]


def regret_line(value: Mapping[str, Any]) -> str:
    """Which arm is best by the labels, and what the deployed one lacks to it."""
    regret = value["regret"]
    if value["oracle"] == value["model"]:
        return f"oracle: {value['oracle']}, the arm that is deployed: no regret"
    bounds = None if regret["low"] is None else (regret["low"], regret["high"])
    return (
        f"oracle: {value['oracle']}; regret of the deployed {value['model']}: {between(regret['value'], bounds)} "
        f"{value['primary']}"
    )


def shares_lines(shares: Mapping[str, Any] | None) -> list[str]:
    """What the target's class shares are thought to be and what knowing them is worth; or that they were stated."""
    if shares is None:
        return []
    if shares["stated"] is not None:
        from acclimate.runs.shares import contradiction

        told = ", ".join(f"{name} {share:.2f}" for name, share in shares["stated"].items())
        return [f"class shares of the target, as stated: {told}", *(f"  {why}" for why in contradiction(shares))]
    intervals = {} if shares["doubts"] else shares["intervals"]
    told = ", ".join(f"{name} {between(share, intervals.get(name))}" for name, share in shares["estimated"].items())
    sure = "too uncertain to rely upon" if shares["doubts"] else "estimated, if nothing else changed"
    lines = [f"class shares of the target ({sure}): {told}", *(f"  {why}" for why in shares["doubts"])]
    if shares["hinge"] >= WORTH:
        lines.append(
            f"  {shares['hinge']:.0%} of the answers hinge on them: "
            "--target-shares CLASS=SHARE,... corrects for them if you know them roughly"
        )
    return lines


def _arm(row: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, str]:
    primary, free = result["primary"], row["label_free"]
    marks = (" *" if row["name"] == result["model"] else "") + (" (oracle)" if row["name"] == result["oracle"] else "")
    cells = {"arm": row["name"] + marks, "backbone": row["backbone"], "tune": row["tune"]}
    for side in ("source", "target"):
        scored = (row["target"] if side == "target" else None) or row[f"{side}_validation"]
        cells[f"{side} {primary} (95 %)"] = (
            between(scored["metrics"][primary], scored["intervals"][primary]) if scored else ""
        )
    return {
        **cells,
        "InfoMax": number(free.get("infomax")),
        "agreement": number(free.get("agreement")),
        "ATC": number(free.get("atc")),
        "steps": str(row["steps"] or ""),
        "epochs": _epochs(row),
        "time": duration(row["seconds"]),
        "warnings": str(len(row["warnings"]) or ""),
    }


def _epochs(row: Mapping[str, Any]) -> str:
    """Passes over the data of each loop, and where another state than the last was kept, which."""
    loops = [stage for stage in row["stages"] if "epochs" in stage]
    return ", ".join(
        f"{loop['epochs']:g}" + (f" (best {loop['best_epoch']:g})" if "best_epoch" in loop else "") for loop in loops
    )


def _seal(result: Mapping[str, Any]) -> str:
    """What is known of the target's labels."""
    opened = result["seal"]["opened"]
    if opened:
        return f"target labels were opened {opened} time{'s' if opened > 1 else ''}"
    if result["permission"]:
        did = "were trained on"
        if not result["data"]["split"]["labelled_target"]:
            did = "were used to choose by, not to train on"
        elif any(row["role"] == "candidate" for row in result["arms"]):
            did = "were given to the candidates that train on such, and to choose by"
        return f"target labels of column '{result['permission']}' {did}, as permitted"
    if _own(result):
        return "what was read of the target was learned"
    return "the target's labels are still sealed" if "target" in result["data"] else "there is no target"


def _own(result: Mapping[str, Any]) -> bool:
    """Whether texts were learned as they are, without labels."""
    return result["setting"] == "inductive" and not result["permission"]


def _next(result: Mapping[str, Any], run: str) -> list[str]:
    """How to judge the model that is deployed."""
    if _own(result):
        return [f"  acclimate evaluate {run} --data HELD_OUT_FILE"]
    from acclimate.tasks.registry import find

    if find(result["task"]).shapes:
        return [f"  acclimate evaluate {run} --data LABELLED_FOLDER    # laid out as the source; opens the seal"]
    return [f"  acclimate evaluate {run} --data LABELLED_FILE --label COLUMN    # opens the seal"]
