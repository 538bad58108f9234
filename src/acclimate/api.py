"""The ten-line program: read, inspect, pretrain, meta_train, adapt, compare, control, report, explain, load, embed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from acclimate.domains.read import read
from acclimate.errors import SettingsError
from acclimate.runs import execute, given
from acclimate.runs import inspect as inspection
from acclimate.runs import pretrain as pretraining
from acclimate.runs.encoder import Encoder
from acclimate.runs.lesson import HELD_OUT
from acclimate.runs.log import Found, Show, silent, unsaid
from acclimate.runs.meta import train as meta
from acclimate.runs.meta.plan import HELD_OUT as CLASSES_HELD_OUT
from acclimate.runs.meta.run import MetaRun
from acclimate.runs.predictor import Predictor
from acclimate.runs.recipe import Recipe
from acclimate.runs.run import Run

if TYPE_CHECKING:
    from torch import nn

    from acclimate.backbones.base import Backbone
    from acclimate.methods.base import Method
    from acclimate.robots.robot import Robot
    from acclimate.robots.run import ControlRun

__all__ = [
    "adapt",
    "carry_out",
    "compare",
    "control",
    "embed",
    "explain",
    "explain_domains",
    "influence",
    "inspect",
    "load",
    "meta_train",
    "pretrain",
    "read",
    "report",
    "resume",
]


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
    folder = _fresh(out)
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


def inspect(source: Any, target: Any = None, *, top: int = 10, **options: Any) -> dict[str, Any]:
    """What source and target are, the gap between them, and what to try first; trains nothing.

    Args:
        source: as for `adapt`, or None.
        target: as for `adapt`; its labels are not read, unless ``target_label`` permits it.
        top: how many shifts are told.
        **options: settings of `Recipe` that speak of the data: ``input``, ``label``, ``target_label``,
            ``target_shares``, ``backbone`` (whose frozen features the gap is measured on), ``seed``, ...

    Returns:
        What ``acclimate inspect --json`` prints; docs/result.md lists it.

    Raises:
        AcclimateError: domains that cannot be read or do not fit each other.
    """
    sources, targets = given.several(source), given.several(target)
    recipe = given.written("inspect", sources, targets, options)
    return inspection.inspect(recipe, source=sources or None, target=targets or None, top=top)


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
    recipe, folder = given.written("pretrain", sources, targets, asked, {"validation": HELD_OUT}), _fresh(out)
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
    recipe, folder = given.written("meta-train", sources, [], asked, {"validation": CLASSES_HELD_OUT}), _fresh(out)
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
            ``ranges={"mass": (0.5, 2)}``, ``fit={"steps": 5000}``, ``planner={"horizon": 30}``, ...

    Raises:
        AcclimateError: what is wrong, and what to do.
    """
    from acclimate.robots import settings, train
    from acclimate.robots.run import ControlRun

    robot = None if isinstance(env, str) else env
    asked = settings.parse({"env": env if robot is None else robot.name, "method": method, **options})
    folder = _fresh(out)
    train.control(asked, folder, robot=robot, force=force, show=show)
    return ControlRun(folder, robot)


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
    found: Found = unsaid,
    show: Show = silent,
) -> Run | Encoder | MetaRun:
    """Continue whatever a kill stopped in this folder, bit for bit. What came from Python is to be given again."""
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


def influence(run: Run | str | Path, **options: Any) -> dict[str, Any]:
    """Which source rows helped or hurt on the target, and what training again without them does.

    Args:
        run: a finished run or its folder.
        **options: see `Run.influence`: ``data``, ``label``, ``arm``, ``remove``, ``out``, ...

    Raises:
        AcclimateError: what is wrong, and what to do.
    """
    return (run if isinstance(run, Run) else Run(run)).influence(**options)


def report(
    run: Run | str | Path | Sequence[Run | str | Path], *, lang: str | None = None, out: str | Path | None = None
) -> Path:
    """Write the page that a person reads of a run, or one that compares several, and return its path.

    Runs write ``report.html`` by themselves, and again when they are evaluated; this writes it in another language,
    of a run that has none, or of several runs.

    Args:
        run: a run or its folder; several for a comparison.
        lang: "en" or "zh"; that of the last time if None.
        out: the file of a comparison; ``comparison.html`` by default.

    Raises:
        AcclimateError: what is wrong, and what to do.
    """
    from acclimate.runs.report.report import report as write

    named: list[Any] = list(run) if isinstance(run, list | tuple) else [run]
    folders = [Path(getattr(one, "folder", one)) for one in named]
    return write(folders, language=lang, out=None if out is None else Path(out))[0]


def explain(
    run: Run | str | Path,
    data: Any,
    *,
    out: str | Path | None = None,
    input: str | list[str] | None = None,
    rows: Sequence[int] | None = None,
    limit: int | None = None,
    answer: str | None = None,
    seed: int = 0,
    lang: str | None = None,
    device: str = "auto",
    tell: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Which parts of rows speak for the answers of a model, and whether these explanations are faithful to it.

    Args:
        run: a run or its folder, or the folder of a model.
        data: rows as for `Predictor.predict`; labels that they may carry are not read.
        out: folder for ``explanations.json`` and ``explanations.html``; a fresh temporary one by default.
        input: input columns where they are named otherwise than in training.
        rows: numbers of rows, from 0; None: the first ``limit``.
        limit: rows at most, 20 unless said otherwise.
        answer: the class, or label, that is explained in the place of what the model answers.
        seed: of random orders and random weights.
        lang: of the page, "en" or "zh".
        device: where to run.
        tell: called with steps done and steps in all.

    Returns:
        What ``explanations.json`` holds; docs/explanation.md lists it.

    Raises:
        AcclimateError: what is wrong, and what to do.
    """
    from acclimate.runs.explain import LIMIT
    from acclimate.runs.explain import explain as write

    folder = run.folder if isinstance(run, Run) else Path(run)
    model = run.model if isinstance(run, Run) else Predictor.load(folder, device)
    return write(
        folder, model, data, _fresh(out), input=input, rows=rows, limit=LIMIT if limit is None else limit,
        answer=answer, seed=seed, language=lang, tell=tell,
    )  # fmt: skip


def explain_domains(
    run: Run | str | Path,
    *,
    source: Any = None,
    target: Any = None,
    out: str | Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    lang: str | None = None,
    device: str = "auto",
    tell: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Which parts of rows tell the target of a run from its source, on the features of its model.

    Args:
        run: a run or its folder, or the folder of a model.
        source: rows as for `Predictor.predict`; None: those of the run's recipe.
        target: likewise.
        out: folder for ``domains.json`` and ``domains.html``; a fresh temporary one by default.
        limit: rows that are explained, half of each domain; 100 unless said otherwise.
        seed: of the rows, of random orders and random weights.
        lang: of the page, "en" or "zh".
        device: where to run.
        tell: called with steps done and steps in all.

    Returns:
        What ``domains.json`` holds; docs/explanation.md lists it.

    Raises:
        AcclimateError: what is wrong, and what to do.
    """
    from acclimate.runs.explain_domains import LIMIT
    from acclimate.runs.explain_domains import explain_domains as write

    folder = run.folder if isinstance(run, Run) else Path(run)
    model = run.model if isinstance(run, Run) else Predictor.load(folder, device)
    return write(
        folder,
        model,
        _fresh(out),
        source=source,
        target=target,
        limit=LIMIT if limit is None else limit,
        seed=seed,
        language=lang,
        tell=tell,
    )


def load(folder: str | Path, *, device: str = "auto", backbone: Backbone | None = None) -> Predictor:
    """The model of a run folder or of a model folder; needs nothing else, and no network."""
    return Predictor.load(folder, device, backbone=backbone)


def embed(
    data: Any,
    backbone: str | os.PathLike[str] | Mapping[str, Any] = "minilm",
    *,
    layers: Sequence[str] | None = None,
    device: str = "auto",
    precision: str = "auto",
    **options: Any,
) -> dict[str, np.ndarray]:
    """Frozen features ``[n, size]`` float32 of every row, by layer; read once, then from the cache.

    Args:
        data: a Domain or anything `read` takes.
        backbone: a name, a folder, or ``{"name": ..., setting: ...}``.
        layers: layers by name; the backbone's default one if None.
        device: where to run.
        precision: fp32, bf16, or auto: bf16 where it is fast and agrees with fp32.
        **options: given to `read`.
    """
    from acclimate.backbones import cache, registry
    from acclimate.backbones.agreement import settled
    from acclimate.training.device import place

    domain = read(data, **options)
    named = given.named(backbone)
    wanted = {"name": named} if isinstance(named, str) else dict(named)
    network = registry.create(wanted.pop("name"), domain.schema.modality, wanted)
    network.fit(domain)
    where = place(device, precision)  # type: ignore[arg-type]
    names, kind = list(layers or [network.check_layer(None)]), where.precision
    if precision == "auto":
        kind = settled(network, [domain], names, str(where.device), kind)
    found = cache.embed(network, domain, names, device=str(where.device), precision=kind)
    return {
        name: values.toarray() if hasattr(values, "toarray") else np.asarray(values) for name, values in found.items()
    }


def _fresh(out: str | Path | None) -> Path:
    """The folder that was named, or a temporary one."""
    if out is None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise SettingsError("several processes train together: name the folder that they share with out=")
    return Path(out) if out is not None else Path(tempfile.mkdtemp(prefix="acclimate-"))
