"""What trains: adapt and compare, pretrain, meta_train, control, and what continues a run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acclimate.errors import SettingsError
from acclimate.runs import execute, given
from acclimate.runs import pretrain as pretraining
from acclimate.runs.encoder import Encoder
from acclimate.runs.lesson import HELD_OUT
from acclimate.runs.log import Found, Show, silent, unsaid
from acclimate.runs.meta import train as meta
from acclimate.runs.meta.plan import HELD_OUT as CLASSES_HELD_OUT
from acclimate.runs.meta.run import MetaRun
from acclimate.runs.recipe import Recipe
from acclimate.runs.run import Run

if TYPE_CHECKING:
    from torch import nn

    from acclimate.methods.base import Method
    from acclimate.robots.robot import Robot
    from acclimate.robots.run import ControlRun


def adapt(
    source: Any,
    target: Any = None,
    *,
    backbone: str | os.PathLike[str] | Mapping[str, Any] | nn.Module | None = None,
    method: str | Mapping[str, Any] | Method | None = None,
    tune: str | Mapping[str, Any] | None = None,
    target_label: str | None = None,
    out: str | Path | None = None,
    force: bool = False,
    show: Show = silent,
    **options: Any,
) -> Run:
    """Adapt a model from a source domain to a target domain.

    Trains the method, the same backbone on the source alone, and the modality's plain baseline; decides
    without target labels whether to adapt; writes a run.

    Args:
        source: a Domain from `read`, a locator, or anything `read` takes (then give ``input`` and ``label``);
            a list for several sources; None with a labelled target.
        target: the same for the target. Labels that it may carry are put away unless ``target_label``.
        backbone: a name, the folder of `pretrain` or of a run, ``{"name": ..., setting: ...}``, or a
            `torch.nn.Module`.
        method: a name, ``{"name": ..., setting: ...}``, or an object such as ``acclimate.methods.DANN(strength=0.5)``.
        tune: frozen, full, gradual, discriminative, lora, l2sp, or a mapping with ``kind``.
        target_label: permission to train on this column of the target (the inductive setting); recorded.
        out: folder of the run; a fresh temporary one by default.
        force: replace a run in that folder.
        show: called with the progress.
        **options: the other settings of `Recipe`: ``seed``, ``training``, ``validation``, ``budget``, ...

    Raises:
        AcclimateError: what is wrong, and what to do.
    """
    sources, targets = given.several(source), given.several(target)
    backbone = given.named(backbone)
    objects = given.networks(backbone, sources or targets)
    asked = {
        "backbone": next(iter(objects)) if objects else backbone,
        "method": given.named_method(method),
        "tune": tune,
        "target_label": target_label,
        **options,
    }
    recipe = given.written("adapt", sources, targets, asked)
    folder = given.fresh(out)
    execute.adapt(
        recipe, folder, source=sources or None, target=targets or None, backbones=objects, force=force, show=show
    )
    return Run(folder, objects[recipe.backbone["name"]]() if objects else None)


def compare(
    source: Any,
    target: Any,
    *,
    methods: str | Sequence[str] | None = None,
    settings: int = 1,
    top: int = 3,
    **options: Any,
) -> Run:
    """Train several methods, rate them without target labels, and teach one model what the best say together.

    Args:
        source: as for `adapt`.
        target: as for `adapt`.
        methods: names, with settings if wanted (``"mcc:strength=0.3"``), in a list or with commas between them, or
            ``"all"``; by default those that suit the data.
        settings: how many settings of each method are tried; 1 is that named, more come from its search range.
        top: how many of the best arms are averaged.
        **options: the other arguments of `adapt`.

    Raises:
        AcclimateError: what is wrong, and what to do.
    """
    named = methods.split(",") if isinstance(methods, str) else methods
    candidates = {} if named is None else {"candidates": list(named)}
    return adapt(source, target, method={"name": "auto", "settings": settings, "top": top, **candidates}, **options)


def pretrain(
    source: Any = None,
    target: Any = None,
    *,
    method: str | Mapping[str, Any] | None = None,
    backbone: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    tune: str | Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    force: bool = False,
    show: Show = silent,
    **options: Any,
) -> Encoder:
    """Teach a backbone on the rows of source and target without any label (the unsupervised setting).

    Args:
        source: as for `adapt`, or None; labels that it may carry are not read.
        target: the same; one of both must be given.
        method: "mlm" (texts, the default there), "simclr", or ``{"name": ..., setting: ...}``.
        backbone: a name, a folder, or ``{"name": ..., setting: ...}``.
        tune: full (the default), gradual, discriminative, lora, l2sp, or a mapping with ``kind``.
        out: folder of the encoder; a fresh temporary one by default.
        force: replace what is in that folder.
        show: called with the progress.
        **options: the other settings of `Recipe`: ``seed``, ``training``, ``budget``, ``validation`` (share of the
            rows that is held out, 0.1 unless said otherwise), ...

    Raises:
        AcclimateError: what is wrong, and what to do.
    """
    sources, targets = given.several(source), given.several(target)
    encoder = given.named(backbone)
    if encoder is not None and not isinstance(encoder, str | Mapping):
        raise SettingsError(f"pretrain: backbone is a name, a folder or a mapping, found {type(encoder).__name__}")
    asked = {"backbone": encoder, "method": method, "tune": tune, **options}
    recipe, folder = given.written("pretrain", sources, targets, asked, {"validation": HELD_OUT}), given.fresh(out)
    pretraining.pretrain(recipe, folder, source=sources or None, target=targets or None, force=force, show=show)
    return Encoder(folder)


def meta_train(
    source: Any,
    *,
    method: str | Mapping[str, Any] | None = None,
    ways: int | str | None = None,
    shots: int | str = 1,
    queries: int = 15,
    groups: str = "ignore",
    turns: bool = False,
    backbone: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    tune: str | Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    force: bool = False,
    show: Show = silent,
    **options: Any,
) -> MetaRun:
    """Train a model that learns new classes, or a new domain, from a handful of rows.

    Args:
        source: labelled rows as for `adapt`; a list for several domains.
        method: a name (``"protonet"``, the default), or ``{"name": ..., setting: ...}``.
        ways: classes of an episode, or a range such as ``"5-20"``.
        shots: labelled rows of each class, or a range.
        queries: further rows of each class, which are answered.
        groups: "ignore"; "within": the classes of an episode are of one group; "tasks": each group is a task.
        turns: images turned by quarters are further classes.
        backbone: a name, a folder, or ``{"name": ..., setting: ...}``.
        tune: frozen (the default of pretrained backbones), full, gradual, discriminative, l2sp, or a mapping.
        out: folder of the model; a fresh temporary one by default.
        force: replace what is in that folder.
        show: called with the progress.
        **options: the other settings of `Recipe`: ``label``, ``group``, ``seed``, ``training``, ``budget``,
            ``validation`` (share of the classes that is held out, 0.1 unless said otherwise), ...

    Raises:
        AcclimateError: what is wrong, and what to do.
    """
    sources = given.several(source)
    shape = {"ways": ways, "shots": shots, "queries": queries, "groups": groups, "turns": turns}
    asked = {"backbone": given.named(backbone), "method": method, "tune": tune, "episodes": shape, **options}
    recipe, folder = given.written("meta-train", sources, [], asked, {"validation": CLASSES_HELD_OUT}), given.fresh(out)
    meta.meta_train(recipe, folder, source=sources or None, force=force, show=show)
    return MetaRun(folder)


def control(
    env: str | Robot = "Pendulum-v1",
    *,
    method: str | Mapping[str, Any] = "maml",
    out: str | Path | None = None,
    force: bool = False,
    show: Show = silent,
    **options: Any,
) -> ControlRun:
    """Train a robot's model over many simulated bodies; `ControlRun.adapt` makes it the controller of a new body.

    Args:
        env: id of an environment (Pendulum-v1, CartPole-v1), or a `acclimate.robots.robot.Robot`.
        method: "maml" or another meta-learner with inner steps, "randomise+finetune", "finetune"; never adapted:
            "randomise", "nominal". With settings as ``{"name": ..., setting: ...}``.
        out: folder of the run; a fresh temporary one by default.
        force: replace a run in that folder.
        show: called with the progress.
        **options: the other settings of `acclimate.robots.settings.Control`: ``bodies``, ``seconds``, ``seed``,
            ``episodes``, ``ranges={"mass": (0.5, 2)}``, ``fit={"steps": 5000}``, ``planner={"horizon": 30}``, ...

    Raises:
        AcclimateError: what is wrong, and what to do.
    """
    from acclimate.robots import settings, train
    from acclimate.robots.run import finished

    robot = None if isinstance(env, str) else env
    asked = settings.parse({"env": env if robot is None else robot.name, "method": method, **options})
    folder = given.fresh(out)
    train.control(asked, folder, robot=robot, force=force, show=show)
    return finished(folder, robot)


def carry_out(
    recipe: Recipe, out: str | Path, *, force: bool = False, found: Found = unsaid, show: Show = silent
) -> Run:
    """Carry out a recipe whose domains are locators."""
    execute.adapt(recipe, Path(out), force=force, found=found, show=show)
    return Run(out)


def resume(
    folder: str | Path,
    *,
    source: Any = None,
    target: Any = None,
    backbone: nn.Module | None = None,
    robot: Robot | None = None,
    found: Found = unsaid,
    show: Show = silent,
) -> Run | Encoder | MetaRun | ControlRun:
    """Continue whatever a kill stopped in this folder, bit for bit. What came from Python is to be given again."""
    from acclimate.robots import train
    from acclimate.robots.run import finished

    if train.is_control(Path(folder)):
        train.resume(Path(folder), robot=robot, found=found, show=show)
        return finished(folder, robot)
    sources, targets = given.several(source) or None, given.several(target) or None
    if meta.is_meta(Path(folder)):
        meta.resume(Path(folder), source=sources, found=found, show=show)
        return MetaRun(folder)
    if pretraining.is_pretraining(Path(folder)):
        pretraining.resume(Path(folder), source=sources, target=targets, found=found, show=show)
        return Encoder(folder)
    objects = given.networks(backbone, sources or targets or [])
    execute.resume(
        Path(folder),
        source=sources,
        target=targets,
        backbones=objects,
        found=found,
        show=show,
    )
    return Run(folder, next(iter(objects.values()))() if objects else None)
