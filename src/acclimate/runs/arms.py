"""Arms: which candidates a run trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from acclimate.backbones import registry as backbones
from acclimate.backbones.base import Backbone
from acclimate.errors import SettingsError
from acclimate.methods import registry as methods
from acclimate.methods.base import Method
from acclimate.methods.data import Data
from acclimate.methods.ensemble.auto import FROZEN, GENTLE, MAPPED, PICKED, TRAINED, Auto
from acclimate.runs.kit import (
    Kit,
    bottleneck,
    check_data,
    check_method,
    create_backbone,
    kit,
    suits,
    would_work,
)
from acclimate.runs.prepare import Prepared
from acclimate.runs.recipe import Recipe
from acclimate.settings import build
from acclimate.training.device import Place, place
from acclimate.training.settings import Training, Tune
from acclimate.training.stage import Loop
from acclimate.trust.privacy import budget
from acclimate.trust.privacy.settings import Privacy


@dataclass(frozen=True)
class Arm:
    """One candidate: a method, what it does to which backbone, with which settings."""

    name: str
    method: Method
    backbone: str
    backbone_settings: Mapping[str, Any]
    tune: Tune
    training: Training
    role: str = "adapted"
    shape: tuple[Any, ...] | None = None
    """Arms of equal shape train in one loop (`acclimate.training.fleet`); None trains alone."""
    steps: bool = False
    """Whether the head learns by gradient steps, also where nothing else learns: it reads parts of rows, or noise."""
    privacy: Privacy | None = None

    @property
    def convex(self) -> bool:
        """Whether only a linear head on frozen features learns."""
        return self.tune.kind == "frozen" and not self.tune.bottleneck and not self.steps


def plan(recipe: Recipe, prepared: Prepared, objects: Mapping[str, Any] | None = None) -> list[Arm]:
    """The arms of a run: the method asked for, its reference without the target, the plain baseline, and for auto
    the candidates; auto itself comes last, for it learns from the others.

    Raises:
        SettingsError: unknown names or settings, or a method whose needs are not met.
    """
    data, modality = prepared.data, prepared.schema.modality
    name, asked = _method_name(recipe, data)
    gentle = {"strength": GENTLE} if name == "dann" and data.task.reads == "maps" else {}
    method = methods.create(name, gentle | {k: v for k, v in recipe.method.items() if k != "name"})
    check_data(method, recipe, prepared, asked, objects)
    found = kit(recipe, prepared, asked, objects)
    network, tune, reads = found.network, found.tune, data.task.reads
    try:
        check_method(method, data, network, tune)
    except SettingsError as error:
        raise SettingsError(f"{error}{would_work(data, found)}") from None
    usual = {"epochs": epochs_by_default(network, tune), **network.spec.training}
    training = build(Training, {**usual, **recipe.training}, "training")

    where = place(recipe.device, recipe.precision)
    if data.difference is not None and not network.links:
        raise SettingsError(
            f"source and target have other columns, and backbone '{network.spec.name}' reads one kind of row only; "
            "mlp and columns train an encoder for each domain, and `acclimate pretrain` teaches mlp on both"
        )

    if recipe.choose == "worst_group":
        _check_choice(recipe, data, name)

    def arm(method: Method, role: str, title: str | None = None) -> Arm:
        check_method(method, data, network, tune)
        own, called = replace(tune, bottleneck=bottleneck(tune, method, data)), title or method.name
        keep = training.keep or ("infomax" if role == "candidate" and data.task.kind == "class" else "last")
        made = Arm(
            called, method, found.name, found.settings, own, replace(training, keep=keep), role, steps=reads != "row"
        )
        _check_training(made, data, where.world)
        return made

    main = arm(method, "adapted")
    if recipe.privacy:  # every other arm would spend too, or keep a model that is not private beside the one that is
        return [_private(main, build(Privacy, recipe.privacy, "privacy"), data, network, where)]
    if data.task.moves and main.tune.kind == "frozen" and not main.tune.bottleneck:
        raise SettingsError(
            f"task '{data.task.name}': this loss teaches features, and frozen ones without a bottleneck cannot learn; "
            "use --tune full (or lora), or --set tune.bottleneck=128, or leave head.loss out"
        )
    arms = []
    carries = data.source is not None and data.same_task and (data.difference is None or bool(data.difference.shared))
    if name != "source_only" and carries:
        narrow = replace(tune, bottleneck=tune.bottleneck or 0)
        arms.append(replace(arm(methods.create("source_only"), "reference"), tune=narrow))
    if isinstance(method, Auto):
        tried = _candidates(method, data, found)
        alone = [arm(candidate, "candidate", title) for title, candidate in tried.items()]
        arms += [replace(one, shape=_shape(one, data, where)) for one in alone]
    plain = backbones.PLAIN.get(modality) if reads == "row" else None
    unchanged = methods.create("source_only" if carries else "target_only")
    beside = recipe.plain_baseline and (carries or data.has["target_labels"])
    if beside and data.task.writes and reads != "maps" and network.spec.pretrained and tune.kind != "frozen":
        arms.append(Arm("plain", unchanged, found.name, found.settings, Tune("frozen"), training, "plain", steps=True))
    if beside and plain is not None and plain != found.name:
        arms.append(Arm("plain", unchanged, plain, {}, Tune("frozen", bottleneck=0), training, "plain"))
    forest, taken = methods.create("forest"), {main.name, *(other.name for other in arms)}
    grows = modality == "molecule" or (modality == "table" and plain == found.name)
    if beside and carries and plain and grows and forest.name not in taken and not forest.misses(data):
        arms.append(Arm(forest.name, forest, plain, {}, Tune("frozen", bottleneck=0), training, "beside"))
    return [*arms, main] if isinstance(method, Auto) else [*arms[:1], main, *arms[1:]]


def _check_choice(recipe: Recipe, data: Data, method: str) -> None:
    """Refuse `choose: worst_group` where it could not choose, before anything is trained."""
    source, lacking = data.source, []
    if recipe.privacy or method == "source_only":
        lacking.append("an arm source_only beside the adapted one (a private run trains one model)")
    if source is None or not source.sensitive:
        lacking.append("groups of people in the source, by --sensitive")
    if source is not None and data.source_task.kind != "class":
        lacking.append("classes")
    if data.source_validation is None or not data.same_task:
        lacking.append("held-out source rows of the target's task, by --validation above 0")
    if lacking:
        raise SettingsError(
            "choose=worst_group compares the adapted model with source_only by groups of people on held-out source "
            f"rows; what is missing: {'; '.join(lacking)}"
        )


def _private(arm: Arm, asked: Privacy, data: Data, network: Backbone, where: Place) -> Arm:
    """The arm as it is trained with noise: by gradient steps alone, in one process."""
    if where.world > 1 or where.precision == "fp16":
        raise SettingsError(
            "privacy: several processes, and --precision fp16, are not supported; use one, in bf16 or fp32"
        )
    budget.check(asked, arm.method, data, network, arm.tune, arm.training)
    return replace(arm, steps=True, privacy=asked)


def _candidates(auto: Auto, data: Data, chosen: Kit) -> dict[str, Method]:
    """Those named; or of all, and of those tried by default, the ones that these data and this tuning suit. By title,
    each with as many settings as asked for.
    """
    named = auto.candidates not in ((), ("all",))
    usual: tuple[str, ...] = FROZEN if chosen.tune.kind == "frozen" else TRAINED
    if data.task.kind != "class":
        usual = MAPPED if data.task.reads == "maps" else PICKED
    network, tune = chosen.network, chosen.tune
    found: dict[str, Method] = {}
    for text in methods.METHODS if auto.candidates == ("all",) else auto.candidates or usual:
        method = methods.parse(text)
        if method.name == "source_only" or (method.name == "auto" and not named):
            continue  # it is there already
        if named:
            _check_candidate(method, data, chosen)
        elif not suits(method, data, network, tune):
            continue
        if (title := methods.title(method)) in found:
            raise SettingsError(f"method.candidates: '{title}' is named twice; once is enough")
        found[title] = method
    every: dict[str, Method] = {}
    for title, method in found.items():
        convex = tune.kind == "frozen" and not bottleneck(tune, method, data)
        others = {methods.title(other): other for other in methods.variants(method, auto.settings, convex)}
        every |= {name: other for name, other in others.items() if name == title or name not in found}
    return every


def _check_candidate(method: Method, data: Data, chosen: Kit) -> None:
    if isinstance(method, Auto):
        raise SettingsError("method.candidates: 'auto' averages the others, and cannot be one of them")
    if why := methods.unfit(method, data):
        raise SettingsError(why + would_work(data, chosen))


def _method_name(recipe: Recipe, data: Data) -> tuple[str, dict[str, Any]]:
    """The method, and the settings of the tuning; `linear_probe` is a name for both."""
    has, name = data.has, recipe.method.get("name")
    if name == "":
        raise SettingsError("method '': name one; `acclimate list methods` shows all")
    if name is not None and ":" in name:
        raise SettingsError(
            f"method '{name}': only `acclimate compare --methods` takes settings so; here: --set method.NAME="
        )
    if name == "linear_probe":
        kind = recipe.tune.get("kind", "frozen")
        if kind != "frozen" or recipe.tune.get("bottleneck"):
            raise SettingsError("method 'linear_probe' is a linear head on frozen features; leave --tune out")
        return "target_only" if has["target_labels"] else "source_only", {**recipe.tune, "kind": kind, "bottleneck": 0}
    if name is None and has["target_labels"]:
        name = "finetune" if has["source_labels"] else "target_only"
    return name or ("dann" if has["target_inputs"] else "source_only"), dict(recipe.tune)


def epochs_by_default(network: Backbone, tune: Tune) -> float:
    """Passes over the source unless the recipe says: many where a step is cheap or weights start from nothing."""
    if tune.kind == "frozen":
        return 30.0
    return 3.0 if network.spec.pretrained else 20.0


def _shape(arm: Arm, data: Data, where: Place) -> tuple[Any, ...] | None:
    """What arms have in common that train in one loop: the first stage but for the settings that may be batched."""
    first = arm.method.stages(data, arm.convex)[0]
    if arm.tune.kind != "frozen" or not isinstance(first, Loop) or not isinstance(first.method, Method):
        return None
    training = arm.training
    plain = training.patience is None and training.accumulate == 1 and where.world == 1 and where.precision != "fp16"
    if not plain or not first.method.batched or arm.method.harmony is not None:
        return None
    common = first.method.given(dict.fromkeys(first.method.batched))
    return first.name, common, tuple(first.streams), arm.tune.bottleneck, training.keep


def _check_training(arm: Arm, data: Data, processes: int) -> None:
    keep, size = arm.training.keep, arm.training.batch_size
    if not arm.convex and size < processes:
        raise SettingsError(f"training.batch_size {size} is less than {processes} processes")
    if keep == "last" and arm.training.patience is not None:
        raise SettingsError(
            "training.patience waits for a better score, and training.keep=last looks at none; "
            "set training.keep to source or infomax"
        )
    loops = [stage for stage in arm.method.stages(data, arm.convex) if isinstance(stage, Loop)]
    people = data.source is not None and data.source.sensitive and data.source_task.kind == "class"
    if keep == "worst_group" and not people:
        raise SettingsError(
            "training.keep=worst_group needs groups of people and classes; name columns with --sensitive"
        )
    if keep in ("source", "worst_group") and any(stage.validation is None for stage in loops):
        raise SettingsError(f"training.keep={keep} needs validation rows; set --validation above 0")
    if keep == "infomax" and (data.target is None or data.target_task.kind != "class"):
        raise SettingsError("training.keep=infomax needs target rows and a classification")


def fitted_backbone(arm: Arm, prepared: Prepared, seed: int, objects: Mapping[str, Any] | None = None) -> Backbone:
    """An arm's fresh backbone, its preprocessing learned on the inputs of the rows whose labels the arm learns."""
    data = prepared.data
    modality, writes = prepared.schema.modality, data.task.writes
    backbone = create_backbone(arm.backbone, modality, arm.backbone_settings, seed, objects, writes)
    first = data.source if "source_labels" in arm.method.needs else data.labelled_target
    if arm.privacy is not None and data.target is not None:  # a network that reads rows here was refused unless these
        first = data.target  # are public
    assert first is not None
    backbone.fit(first)
    other = data.target if first is data.source else data.source
    if data.difference is not None and other is not None:
        backbone.link(other)
    return backbone
