"""How a run is told: what was found before training, and what came out of it."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from typing import Any

from acclimate.cli.show import between, counts, duration, number, put, say, table

WORTH = 0.01
"""Share of answers that must hinge on the target's class shares before they are asked for."""
DECISIONS = {
    "adapt": "adapt: the adapted model is the one to use",
    "keep_source": "keep_source: the model that was not adapted is the one to use",
    "do_not_deploy": "do_not_deploy: no model of this run is fit for the target",
}


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
        f"written to {args.folder} in {duration(result['seconds'])}; {_seal(result)}. Next:",
        f"  acclimate predict {run} --data FILE -o answers.csv",
        f"  acclimate evaluate {run} --data LABELLED_FILE --label COLUMN    # opens the seal",
    )


def summary(result: Mapping[str, Any]) -> list[str]:
    """The arms and the decision with its reasons."""
    arms = table([_arm(row, result) for row in result["arms"]])
    reasons = (f"  - {reason}" for reason in result["reasons"])
    return [arms, "", f"decision: {DECISIONS[result['decision']]}", *reasons, *shares_lines(result.get("shares"))]


def shares_lines(shares: Mapping[str, Any] | None) -> list[str]:
    """What the target's class shares are thought to be and what knowing them is worth; or that they were stated."""
    if shares is None:
        return []
    if shares["stated"] is not None:
        told = ", ".join(f"{name} {share:.2f}" for name, share in shares["stated"].items())
        return [f"class shares of the target, as stated: {told}; the answers are made to fit them"]
    told = ", ".join(
        between(share, (shares["intervals"] or {}).get(name)) + f" {name}"
        for name, share in shares["estimated"].items()
    )
    lines = [f"class shares of the target, estimated: {told}", *(f"  too uncertain: {why}" for why in shares["doubts"])]
    if shares["hinge"] >= WORTH:
        lines.append(
            f"  {shares['hinge']:.0%} of the answers hinge on them: "
            "--target-shares CLASS=SHARE,... corrects for them if you know them roughly"
        )
    return lines


def _arm(row: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, str]:
    primary, free = result["primary"], row["label_free"]
    cells = {
        "arm": row["name"] + (" *" if row["name"] == result["model"] else ""),
        "backbone": row["backbone"],
        "tune": row["tune"],
    }
    for side in ("source", "target"):
        scored = row[f"{side}_validation"] or (row["target"] if side == "target" else None)
        cells[f"{side} {primary} (95 %)"] = (
            between(scored["metrics"][primary], scored["intervals"][primary]) if scored else ""
        )
    return {
        **cells,
        "InfoMax": number(free.get("infomax")),
        "agreement": number(free.get("agreement")),
        "ATC": number(free.get("atc")),
        "steps": str(row["steps"] or ""),
        "time": duration(row["seconds"]),
    }


def _seal(result: Mapping[str, Any]) -> str:
    """What is known of the target's labels."""
    opened = result["seal"]["opened"]
    if opened:
        return f"target labels were opened {opened} time{'s' if opened > 1 else ''}"
    if result["permission"]:
        return f"target labels of column '{result['permission']}' were trained on, as permitted"
    return "the target's labels are still sealed"
