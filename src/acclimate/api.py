"""The ten-line program: read, pretrain, adapt, load, embed, inspect."""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from acclimate.domains.domain import Domain
from acclimate.domains.read import read
from acclimate.errors import SettingsError
from acclimate.runs import execute
from acclimate.runs import pretrain as pretraining
from acclimate.runs.encoder import Encoder
from acclimate.runs.lesson import HELD_OUT
from acclimate.runs.log import Found, Show, silent, unsaid
from acclimate.runs.predictor import Predictor
from acclimate.runs.recipe import MEMORY, Recipe, environment, merge, parse
from acclimate.runs.run import Run

if TYPE_CHECKING:
    from torch import nn

    from acclimate.backbones.base import Backbone
    from acclimate.methods.base import Method

__all__ = ["adapt", "carry_out", "compare", "embed", "load", "pretrain", "read", "resume"]


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
    sources, targets = _several(source), _several(target)
    backbone = _named(backbone)
    objects = _objects(backbone, sources or targets)
    values = merge(
        environment(),
        _columns(sources or targets),
        {
            "source": [_place(s) for s in sources],
            "target": [_place(t) for t in targets],
            "backbone": next(iter(objects)) if objects else backbone,
            "method": _method(method),
            "tune": tune,
            "target_label": target_label,
            **options,
        },
    )
    recipe = parse(values, "adapt")
    folder = _fresh(out)
    execute.adapt(
        recipe, folder, source=sources or None, target=targets or None, backbones=objects, force=force, show=show
    )
    return Run(folder, objects[recipe.backbone["name"]]() if objects else None)


def compare(
    source: Any,
    target: Any,
    *,
    methods: Sequence[str] | None = None,
    settings: int = 1,
    top: int = 3,
    **options: Any,
) -> Run:
    """Train several methods, rate them without target labels, and teach one model what the best say together.

    Args:
        source: as for `adapt`.
        target: as for `adapt`.
        methods: names, with settings if wanted (``"mcc:strength=0.3"``), or ``("all",)``; by default those that
            suit the data.
        settings: how many settings of each method are tried; 1 is that named, more come from its search range.
        top: how many of the best arms are averaged.
        **options: the other arguments of `adapt`.

    Raises:
        AcclimateError: what is wrong, and what to do.
    """
    candidates = {} if methods is None else {"candidates": list(methods)}
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
    sources, targets = _several(source), _several(target)
    given = _named(backbone)
    if given is not None and not isinstance(given, str | Mapping):
        raise SettingsError(f"pretrain: backbone is a name, a folder or a mapping, found {type(given).__name__}")
    values = merge(
        {"validation": HELD_OUT},
        environment(),
        _columns(sources or targets),
        {
            "source": [_place(s) for s in sources],
            "target": [_place(t) for t in targets],
            "backbone": given,
            "method": method,
            "tune": tune,
            **options,
        },
    )
    recipe, folder = parse(values, "pretrain"), _fresh(out)
    pretraining.pretrain(recipe, folder, source=sources or None, target=targets or None, force=force, show=show)
    return Encoder(folder)


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
) -> Run | Encoder:
    """Continue a run or a pretraining after a kill, bit for bit. What came from Python is to be given again."""
    sources, targets = _several(source) or None, _several(target) or None
    if pretraining.is_pretraining(Path(folder)):
        pretraining.resume(Path(folder), source=sources, target=targets, found=found, show=show)
        return Encoder(folder)
    objects = _objects(backbone, sources or targets or [])
    execute.resume(
        Path(folder),
        source=sources,
        target=targets,
        backbones=objects,
        found=found,
        show=show,
    )
    return Run(folder, next(iter(objects.values()))() if objects else None)


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
    named = _named(backbone)
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


def _named(backbone: Any) -> Any:
    """An encoder or a folder by its path, anything else as it is."""
    return os.fspath(backbone) if isinstance(backbone, os.PathLike) else backbone


def _several(value: Any) -> list[Any]:
    """One domain or a list of them; a list of texts or rows is one domain."""
    if value is None:
        return []
    if isinstance(value, list | tuple) and value and all(isinstance(item, Domain | Path) for item in value):
        return list(value)
    if isinstance(value, list | tuple) and value and all(isinstance(v, str) and _is_place(v) for v in value):
        return list(value)
    return [value]


def _is_place(text: str) -> bool:
    try:
        return text.startswith("hf:") or Path(text.split("?")[0]).exists()
    except (OSError, ValueError):  # a text that no path can be
        return False


def _place(value: Any) -> str:
    """What the recipe says of a domain: where it can be read again, or that it came from memory."""
    if isinstance(value, Domain):
        return value.locator or MEMORY
    return str(value) if isinstance(value, str | Path) else MEMORY


def _columns(domains: Sequence[Any]) -> dict[str, Any]:
    """What a Domain knows of its columns, so that the recipe alone can read it again."""
    schemas = [domain.schema for domain in domains if isinstance(domain, Domain)]
    if not schemas:
        return {}
    first = schemas[0]
    return {"input": first.inputs, "label": first.label, "group": first.group, "modality": first.modality}


def _method(method: str | Mapping[str, Any] | Method | None) -> Any:
    if method is None or isinstance(method, str | Mapping):
        return method
    if not hasattr(method, "stages"):
        raise SettingsError(f"method: expected a name or an object of acclimate.methods, found {type(method).__name__}")
    return method.recipe()


def _objects(backbone: Any, places: Sequence[Any]) -> dict[str, Any]:
    """A network from Python as a named function that gives fresh copies of it."""
    if backbone is None or isinstance(backbone, str | Mapping):
        return {}
    from acclimate.backbones.base import Backbone

    if not isinstance(backbone, Backbone):
        from acclimate.backbones.module import from_module

        domain = places[0] if places and isinstance(places[0], Domain) else None
        if domain is None:
            raise SettingsError("a torch.nn.Module as backbone needs source and target as Domains; use acclimate.read")
        backbone = from_module(backbone, domain.schema.modality, example=domain.rows.take(domain.order[:1]))
    return {backbone.spec.name: partial(copy.deepcopy, backbone)}
