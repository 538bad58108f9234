"""The best arm of a run by labels of the target that were permitted, where answers cannot be averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from acclimate.files import read_json, write_json
from acclimate.runs import store
from acclimate.runs.arms import Arm
from acclimate.runs.report import view
from acclimate.runs.workshop import Workshop


def pick(arm: Arm, shop: Workshop, names: Sequence[str]) -> dict[str, Any]:
    """Give the arm ``auto`` the model and the evidence of the best of the others; returns its record.

    The best is that of the best primary metric on held-out labelled rows of the target; of several, the one that is
    best on the source, and of these the first.
    """
    primary = shop.prepared.data.target_task.primary
    records = {name: read_json(shop.arm_folder(name) / "arm.json") for name in names}

    def values(name: str) -> tuple[float, float]:
        target, source = (records[name][f"{domain}_validation"] for domain in ("target", "source"))
        known = target["metrics"][primary.name], 0.0 if source is None else source["metrics"][primary.name]
        return known if primary.higher_is_better else (-known[0], -known[1])

    best = max(names, key=values)
    source, folder = shop.arm_folder(best), shop.arm_folder(arm.name)
    if not (folder / "arm.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        store.copy(source / "model", folder / "model", {"arm": arm.name, "picked": best})
        for name in ("evidence.npz", view.FILE):
            if (source / name).is_file():
                (folder / name).write_bytes((source / name).read_bytes())
        stages = [*records[best]["stages"], {"stage": "pick", "picked": best, "of": len(names), "seconds": 0.0}]
        own = {"name": arm.name, "role": arm.role, "method": arm.method.name, "stages": stages, "seconds": 0.0}
        write_json(folder / "arm.json", {**records[best], **own, "shift": None})
    return read_json(folder / "arm.json")
