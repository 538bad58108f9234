"""Carrying out a recipe: prepare, train every arm, decide, write the run. Doing it again continues it."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from acclimate import settings
from acclimate.backbones.registry import channels_of
from acclimate.errors import DataError, SettingsError
from acclimate.files import path_name, read_json, write_json, writing
from acclimate.methods.data import Data
from acclimate.methods.ensemble.auto import Auto
from acclimate.runs import fairness, result, store
from acclimate.runs.arms import Arm, plan
from acclimate.runs.columns import UNLINKED
from acclimate.runs.evidence import arrays_of, weigh
from acclimate.runs.folder import Lock, check_free, clear
from acclimate.runs.log import Found, Log, Show, rewind, silent, tidy, unsaid
from acclimate.runs.pick import UNRANKED
from acclimate.runs.prepare import Prepared, prepare
from acclimate.runs.reading import label_map, read_source, read_target
from acclimate.runs.recipe import Recipe, again
from acclimate.runs.remarks import colourless
from acclimate.runs.report import certainty, privacy
from acclimate.runs.report import make as report
from acclimate.runs.shares import contradiction, doubted, gate, judge
from acclimate.runs.workers import train
from acclimate.runs.workshop import Workshop
from acclimate.selection.decision import Decision
from acclimate.tasks.registry import restore
from acclimate.training.device import Place, place


def adapt(
    recipe: Recipe,
    folder: Path,
    *,
    source: Sequence[Any] | None = None,
    target: Sequence[Any] | None = None,
    backbones: Mapping[str, Any] | None = None,
    force: bool = False,
    found: Found = unsaid,
    show: Show = silent,
) -> dict[str, Any]:
    """Carry out a recipe in a new folder and return the result.

    Everything that can be refused is refused before the folder is made.

    Args:
        recipe: what to do.
        folder: where the run lives; must be absent or empty unless ``force``.
        source: objects in the place of the recipe's source locators.
        target: objects in the place of the target locators.
        backbones: networks from Python by the name that the recipe uses, as functions without arguments.
        force: replace what is in the folder.
        found: called with what the data are, before anything is trained.
        show: called with the progress.

    Raises:
        AcclimateError: see `acclimate.errors`.
    """
    where = _place(recipe)
    if where.rank == 0:
        check_free(folder, force)
    prepared, arms = _prepare(recipe, source, target, backbones)
    resolved = _resolved(recipe, arms)
    with Lock(folder, where) as lock:
        if where.rank == 0:
            check_free(folder, force)  # it may have been taken while the data were read
            found(describe(prepared, arms))
            clear(folder)
            write_json(folder / "data.json", fingerprints(prepared.data))
            resolved.write(folder / "recipe.yaml")
        where.wait()
        return _carry_out(resolved, folder, prepared, arms, backbones, where, show, lock)


def resume(
    folder: Path,
    *,
    source: Sequence[Any] | None = None,
    target: Sequence[Any] | None = None,
    backbones: Mapping[str, Any] | None = None,
    found: Found = unsaid,
    show: Show = silent,
) -> dict[str, Any]:
    """Continue a run after a kill, bit for bit; a finished run is returned as it is.

    Raises:
        DataError: no run there, or its data have changed since.
        SettingsError: the data came from Python and are not given again.
    """
    if not (folder / "recipe.yaml").is_file():
        raise DataError(f"{folder}: no run to resume (recipe.yaml is missing)")
    if (folder / "result.json").is_file():
        return result.load(folder)
    recipe = again(folder, f"ac.resume({str(folder)!r})", source=source, target=target)
    prepared, arms = _prepare(recipe, source, target, backbones)
    if read_json(folder / "data.json") != fingerprints(prepared.data):
        raise DataError(f"{folder}: the data have changed since the run began; start a new one")
    where = _place(recipe)
    with Lock(folder, where) as lock:
        if where.rank == 0:
            found(describe(prepared, arms))
            tidy(folder)
            rewind(folder)
        where.wait()
        return _carry_out(recipe, folder, prepared, arms, backbones, where, show, lock)


def _place(recipe: Recipe) -> Place:
    where = place(recipe.device, recipe.precision)
    if where.world > 1 and recipe.jobs > 1:
        raise SettingsError(f"jobs {recipe.jobs}: with several processes of torchrun, arms are trained one by one")
    return where


def _prepare(
    recipe: Recipe, source: Sequence[Any] | None, target: Sequence[Any] | None, backbones: Mapping[str, Any] | None
) -> tuple[Prepared, list[Arm]]:
    labelled = read_source(recipe, source)
    prepared = prepare(recipe, labelled, read_target(recipe, labelled, target))
    arms = plan(recipe, prepared, backbones)
    if prepared.schema.modality == "image":
        main = next(arm for arm in arms if arm.role == "adapted")
        notes = prepared.notes + colourless(prepared.data, channels_of(main.backbone, main.backbone_settings))
        prepared = replace(prepared, notes=notes)
    return prepared, arms


def describe(prepared: Prepared, arms: Sequence[Arm]) -> dict[str, Any]:
    """What was found and what will be trained, as plain values: setting, task, modality, arms, data."""
    data = prepared.data
    return {
        "setting": prepared.setting,
        "task": (data.source_task if data.source is not None else data.target_task).name,
        "modality": prepared.schema.modality,
        "arms": [arm.name for arm in arms],
        "data": {**prepared.report, "notes": list(prepared.notes)},
    }


def _resolved(recipe: Recipe, arms: Sequence[Arm]) -> Recipe:
    """The recipe with every default of the adapted arm written out.

    What is another for one arm than for others stays as it was asked for: bottleneck and kept state.
    """
    main = next(arm for arm in arms if arm.role == "adapted")
    return replace(
        recipe,
        label_map=label_map(recipe) or None,
        method=main.method.recipe(),
        backbone={"name": main.backbone, **main.backbone_settings},
        tune={**settings.as_dict(main.tune), "bottleneck": recipe.tune.get("bottleneck")},
        training={**settings.as_dict(main.training), "keep": recipe.training.get("keep")},
    )


def fingerprints(data: Data) -> dict[str, str]:
    """Hash of each domain of a run, by which changed data are noticed."""
    names = ("source", "source_validation", "target", "labelled_target", "labelled_target_validation")
    return {name: domain.fingerprint for name in names if (domain := getattr(data, name)) is not None}


def _carry_out(
    recipe: Recipe,
    folder: Path,
    prepared: Prepared,
    arms: Sequence[Arm],
    backbones: Mapping[str, Any] | None,
    where: Place,
    show: Show,
    lock: Lock,
) -> dict[str, Any]:
    """Train and judge every arm; of several processes the first one writes, the others wait for it."""
    begun = time.monotonic()
    log = Log(folder / "metrics.jsonl" if where.rank == 0 else None, show if where.rank == 0 else silent)
    records = train(arms, Workshop(folder, prepared, recipe, log, objects=backbones), lock)
    for name in [name for name, record in records.items() if "left_out" in record]:
        note = f"arm '{name}' is left out: {records.pop(name)['left_out']}"
        warnings.warn(note, stacklevel=2)
        prepared = replace(prepared, notes=(*prepared.notes, note))
    if recipe.budget is not None:
        prepared = replace(prepared, notes=prepared.notes + _cut_short(records))
    if where.rank == 0:
        _write_rows(folder / "rows.npz", prepared.data)
        _write_result(recipe, folder, prepared, arms, records, time.monotonic() - begun)
    where.wait()
    return result.load(folder)


def _cut_short(records: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """A remark if a budget ended loops before the steps that were planned."""
    cut = []
    for name, record in records.items():
        first = next((stage for stage in record["stages"] if "cut" in stage), None)
        cut += [] if first is None else [f"{name} {first['steps']} of {first['planned']} steps"]
    if not cut:
        return ()
    return (f"{result.CUT} {len(cut)} of {len(records)} arms short, judge them with care: {', '.join(cut)}",)


def _write_result(
    recipe: Recipe,
    folder: Path,
    prepared: Prepared,
    arms: Sequence[Arm],
    records: Mapping[str, Mapping[str, Any]],
    seconds: float,
) -> None:
    main = next(arm for arm in arms if arm.role == "adapted")
    reference = next((arm.name for arm in arms if arm.role == "reference"), None)
    if main.method.name == "source_only":
        reference = main.name
    data = prepared.data
    asked = data.source_task if data.same_task or main.method.needs == ("source_labels",) else data.target_task
    folders = {name: folder / "arms" / path_name(name) for name in records}
    asking = [arm for arm in arms if arm.role in ("candidate", "plain") and not arm.method.echoes]
    voters = list({(arm.role, arm.method.name): arm.name for arm in reversed(asking)}.values())  # one setting each
    if isinstance(main.method, Auto) and len(voters) <= 2 * main.method.top:
        voters = []  # those that are averaged would outvote the rest
    decision, scores = weigh(asked, records, folders, data, main.name, reference, recipe.seed, prepared.shares, voters)
    decision = heed_data(decision, data, reference)
    ranked = asked.kind == "class" or data.labelled_target_validation is not None
    if isinstance(main.method, Auto) and not ranked and decision.choice == "keep_source":
        decision = replace(decision, reasons=(UNRANKED, *(why for why in decision.reasons if "plain baseline" in why)))
    every = {name: arrays_of(place) for name, place in folders.items()} if recipe.sensitive else {}
    if recipe.choose == "worst_group":
        decision = fairness.choose(decision, asked, every, data.source_validation, main.name, reference)
    if main.privacy is not None:
        decision = replace(decision, reasons=(*decision.reasons, ALONE))
    if main.privacy is None:  # what held-out rows say does not go out with a private model
        for name, known in every.items():
            fairness.write_thresholds(folders[name] / "model", records[name], known, data.source_validation)
    chosen = records[decision.arm]
    arrays = arrays_of(folders[decision.arm])
    shares = judge(restore(chosen["task"]), data, arrays, chosen["offsets"], prepared.shares, recipe.seed)
    if prepared.shares is None and reference is not None:
        shares = doubted(shares, records[reference]["shift"])
    prepared = replace(prepared, notes=prepared.notes + contradiction(shares))
    decision = gate(decision, shares)
    store.copy(folders[decision.arm] / "model", folder / "model", {"decision": decision.choice})
    value = result.assemble(
        recipe=recipe,
        prepared=prepared,
        records=records,
        scores=scores,
        decision=decision,
        shares=shares,
        primary=asked.primary,
        adapted=main.name,
        reference=reference,
        seconds=seconds,
    )
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    value["fairness"] = fairness.on_source(
        asked,
        every,
        data.source_validation,
        model=decision.arm,
        adapted=main.name,
        reference=reference,
        seed=recipe.seed,
    )
    fairness.write(folder, value["fairness"])
    certainty.write(folder, value["certainty"])
    privacy.write(folder, value["privacy"])
    report.keep(folder, value, data, prepared.wholes, records)
    write_json(folder / "result.json", value)
    report.finished(folder)


ALONE = "a private run trains this one model: any other would spend of the budget, or be kept beside it in the clear"
FEWEST = 20
"""Target rows below which scores without labels tell nothing: one row is 5 points of each."""


def heed_data(decision: Decision, data: Data, reference: str | None) -> Decision:
    """The decision, where the target's rows could not have told: too few of them, or none of the source's columns."""
    if data.labelled_target is not None:
        return decision
    if data.difference is not None and not data.difference.shared:
        return replace(decision, choice="do_not_deploy", reasons=(UNLINKED, *decision.reasons))
    rows = 0 if data.target is None else len(data.target)
    if decision.choice == "adapt" and reference is not None and 0 < rows < FEWEST:
        said = f"{rows} target rows are too few to tell by; at least {FEWEST} are needed"
        return replace(decision, choice="keep_source", arm=reference, reasons=(said, *decision.reasons))
    return decision


def _write_rows(path: Path, data: Data) -> None:
    """Which rows were learned from, which were judged by too, and which were seen without labels, as content hashes."""
    labelled = (data.source, data.source_validation, data.labelled_target, data.labelled_target_validation)
    trained = [domain.ids for domain in labelled if domain is not None]
    learned = [domain.ids for domain in (data.source, data.labelled_target) if domain is not None]
    seen = [data.target.ids] if data.target is not None else []
    with writing(path, ".npz") as part:
        kinds = {"learned": learned, "trained": trained, "seen": [*seen, *trained]}
        arrays: dict[str, Any] = {name: np.unique(np.concatenate(ids)) for name, ids in kinds.items()}
        np.savez(part, **arrays)
