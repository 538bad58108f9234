"""The arm of a run that is taken where answers cannot be averaged: the best one by permitted labels of the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from acclimate.files import read_json, write_json
from acclimate.runs import store
from acclimate.runs.arms import Arm
from acclimate.runs.report import view
from acclimate.runs.workshop import Workshop

UNRANKED = (
    "without labels nothing ranks answers that are no classes: the source's model is kept; evaluate shows every "
    "candidate on labelled rows"
)


def pick(arm: Arm, shop: Workshop, names: Sequence[str]) -> dict[str, Any]:
    """Give the arm ``auto`` the model and the evidence of one of the others; returns its record.

    It is that of the best primary metric on held-out labelled rows of the target; of several, the one that is best on
    the source, and of these the first. Where no such labels were permitted it is source_only.
    """
    judged = shop.prepared.data.labelled_target_validation is not None
    primary = shop.prepared.data.target_task.primary
    records = {name: read_json(shop.arm_folder(name) / "arm.json") for name in names}

    def values(name: str) -> tuple[float, float]:
        target, source = (records[name][f"{domain}_validation"] for domain in ("target", "source"))
        known = target["metrics"][primary.name], 0.0 if source is None else source["metrics"][primary.name]
        return known if primary.higher_is_better else (-known[0], -known[1])

    best = max(names, key=values) if judged else "source_only"
    source, folder = shop.arm_folder(best), shop.arm_folder(arm.name)
    if not (folder / "arm.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        store.copy(source / "model", folder / "model", {"arm": arm.name, "picked": best})
        for name in ("evidence.npz", view.FILE):
            if (source / name).is_file():
                (folder / name).write_bytes((source / name).read_bytes())
        chosen = {"stage": "pick", "picked": best, "of": len(names), "judged": judged, "seconds": 0.0}
        stages = [*records[best]["stages"], chosen]
        own = {"name": arm.name, "role": arm.role, "method": arm.method.name, "stages": stages, "seconds": 0.0}
        write_json(folder / "arm.json", {**records[best], **own, "shift": None})
    return read_json(folder / "arm.json")
