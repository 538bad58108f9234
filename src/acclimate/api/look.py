"""What looks at data and at what was trained: inspect, report, explain, influence, load, embed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from acclimate.domains.read import read
from acclimate.runs import given
from acclimate.runs import inspect as inspection
from acclimate.runs.predictor import Predictor
from acclimate.runs.run import Run

if TYPE_CHECKING:
    from acclimate.backbones.base import Backbone


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

    folder, model = _model(run, device)
    return write(
        folder, model, data, given.fresh(out), input=input, rows=rows, limit=LIMIT if limit is None else limit,
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

    folder, model = _model(run, device)
    return write(
        folder,
        model,
        given.fresh(out),
        source=source,
        target=target,
        limit=LIMIT if limit is None else limit,
        seed=seed,
        language=lang,
        tell=tell,
    )


def influence(run: Run | str | Path, **options: Any) -> dict[str, Any]:
    """Which source rows helped or hurt on the target, and what training again without them does.

    Args:
        run: a finished run or its folder.
        **options: see `Run.influence`: ``data``, ``label``, ``arm``, ``remove``, ``out``, ...

    Raises:
        AcclimateError: what is wrong, and what to do.
    """
    return (run if isinstance(run, Run) else Run(run)).influence(**options)


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


def _model(run: Run | str | Path, device: str) -> tuple[Path, Predictor]:
    """The folder of a run or of a model, and the model to use."""
    if not isinstance(run, Run):
        return Path(run), Predictor.load(run, device)
    return run.folder, run.model if device == "auto" else run.arm(run.result["model"], device)
