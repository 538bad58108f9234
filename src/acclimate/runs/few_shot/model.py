"""A few-shot classifier of raw rows: a frozen backbone, the classifier on its features, and answers as frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from acclimate.backbones import registry
from acclimate.backbones.agreement import settled
from acclimate.backbones.base import Backbone
from acclimate.backbones.cache import embed
from acclimate.domains.domain import Domain, Modality, Schema
from acclimate.domains.frames import free_name, stream
from acclimate.domains.locator import parse
from acclimate.domains.read import read
from acclimate.domains.writer import FrameWriter
from acclimate.errors import DataError, SettingsError
from acclimate.runs import given
from acclimate.runs.columns import fitted
from acclimate.runs.few_shot.classifier import AUTO, FewShotClassifier, Said, candidates, fit
from acclimate.runs.few_shot.learned import LearnedLevel, find, reads
from acclimate.runs.few_shot.lora import LoRA, Workbench, tune
from acclimate.runs.log import Show, silent
from acclimate.runs.meta.learned import Learned
from acclimate.settings import build
from acclimate.training.device import place

if TYPE_CHECKING:
    import pandas as pd

NONE = "none of these"
"""The prediction for a row that was refused."""
DEFAULTS: dict[str, str] = {"table": "columns", "array": "columns"}
"""Backbones of modalities whose default elsewhere starts from nothing."""
MOST = 2000
"""Rows of a support at most: the work grows with their square."""


@dataclass(frozen=True)
class FewShotModel:
    """A classifier of few labelled rows, with the backbone whose features it reads.

    Attributes:
        backbone: frozen.
        layer: whose features are read.
        device: where the backbone runs.
        precision: in which the support was read, and all others are.
        schema: of the support's inputs.
        classifier: on the features.
        ids: content hashes of the support rows ``[n]``.
        notes: what was found in the data, for people.
        odd: what is odd about them.
    """

    backbone: Backbone
    layer: str
    device: str
    precision: str
    schema: Schema
    classifier: FewShotClassifier
    ids: np.ndarray
    notes: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()

    @property
    def report(self) -> dict[str, Any]:
        """What was chosen and why, as plain values."""
        told = dict(self.classifier.report)
        warnings = [*self.odd, *told["warnings"]]
        return {**told, "backbone": self.backbone.spec.name, "notes": list(self.notes), "warnings": warnings}

    def features(self, domain: Domain, show: Show = silent) -> Tensor:
        """Frozen features ``[n, d]`` of rows, through the cache.

        Raises:
            DataError: rows of another kind than the support's.
        """
        if domain.schema.modality != self.schema.modality:
            raise DataError(
                f"{domain.name} is {domain.schema.modality}, but the support is {self.schema.modality}; "
                "pass modality if one was taken wrongly"
            )
        where = {"device": self.device, "precision": self.precision}
        return _features(self.backbone, fitted(domain, self.schema), self.layer, where, show)

    def say(self, domain: Domain, show: Show = silent) -> Said:
        """Answers for the rows of a domain, in its order."""
        return self.classifier.say(self.features(domain, show))

    def frames(
        self, data: Any, input: Sequence[str] | None = None, *, typed: bool = False, show: Show = silent
    ) -> Iterator[tuple[pd.DataFrame, Domain, Said]]:
        """Each row's own columns (or path, or number) with its answer, in chunks; a transductive level sees them all.

        The columns that are added: ``prediction``, ``confidence`` (none where a row was refused), ``conformal_p`` where
        rows may be refused, and ``probability_CLASS``.
        """
        chunks = stream(data, input or self.schema.inputs or None, self.schema.modality, typed=typed, like=self.schema)
        if not self.classifier.level.transductive:
            for frame, domain in chunks:
                said = self.say(domain, show)
                yield frame.assign(**self._columns(said, frame)), domain, said
            return
        held = [(frame, domain, self.features(domain, show)) for frame, domain in chunks]
        whole, start = self.classifier.say(torch.cat([features for *_, features in held])), 0
        for frame, domain, _ in held:
            said, start = whole.part(slice(start, start + len(frame))), start + len(frame)
            yield frame.assign(**self._columns(said, frame)), domain, said

    def write(
        self, data: Any, output: str | Path, input: Sequence[str] | None = None, show: Show = silent
    ) -> dict[str, Any]:
        """Answer ``data`` into a csv, tsv, jsonl, parquet or arrow file, and say what was answered.

        Raises:
            SettingsError: the file's name has no such ending, or it is the input.
            DataError: rows that cannot be read.
        """
        writer = check_output(data, output)
        frames = self.frames(data, input, typed=writer.typed, show=show)
        first = next(frames)  # what is wrong with the input shows before a file is begun
        told: dict[str, Any] = {"rows": 0, "refused": 0, "in_support": 0, "held_out": first[2].held_out}
        with writer:
            for frame, domain, said in chain([first], frames):
                writer.write(frame)
                told["rows"] += len(frame)
                told["refused"] += 0 if said.refused is None else int(said.refused.sum())
                told["in_support"] += int(np.isin(domain.ids, self.ids).sum())
        return told

    def _columns(self, said: Said, frame: pd.DataFrame) -> dict[str, Any]:
        best = said.probabilities.argmax(1)
        names = np.array(self.classifier.classes, dtype=object)[best]
        confidence = said.probabilities.max(1).astype(np.float64)
        added: dict[str, Any] = {"prediction": names, "confidence": confidence}
        if said.refused is not None:
            names[said.refused], confidence[said.refused] = NONE, np.nan
            added["conformal_p"] = said.p_values
        added |= {f"probability_{name}": said.probabilities[:, k] for k, name in enumerate(self.classifier.classes)}
        return {free_name(name, frame.columns): values for name, values in added.items()}


def _own(level: str | Mapping[str, Any], backbone: Any) -> Learned | None:
    """The meta-trained model that answers by itself: that of a folder, unless another level is asked for."""
    asked = {"name": level} if isinstance(level, str) else dict(level)
    name = asked.get("name", AUTO)
    found = find(given.named(backbone)) if name in (AUTO, LearnedLevel.name) else None
    if found is None and name == LearnedLevel.name:
        raise SettingsError("level learned is that of a folder of `acclimate meta-train`: name it as the backbone")
    return found


def _lora(level: str | Mapping[str, Any], abstain: float | None) -> LoRA | None:
    """The settings of that level, if it is asked for."""
    asked = {"name": level} if isinstance(level, str) else dict(level)
    if asked.pop("name", AUTO) != LoRA.name:
        return None
    if abstain is not None:
        raise SettingsError(
            "abstain needs features that have not seen the support, and level lora tunes on it; take another level"
        )
    return build(LoRA, asked, "level")


def check_output(data: Any, output: str | Path) -> FrameWriter:
    """What writes answers to ``data``, which is there.

    Raises:
        SettingsError: the file's name has no known ending, or it is the input.
        DataError: ``data`` names a place where nothing is.
    """
    writer = FrameWriter(output)
    place = parse(data) if isinstance(data, str | Path) else None
    if place is not None and not place.on_hub and place.existing().resolve() == writer.path.resolve():
        raise SettingsError(f"{output} is the input; write the answers to another file")
    return writer


def learn(
    support: Domain,
    *,
    backbone: Any = None,
    level: str | Mapping[str, Any] = AUTO,
    abstain: float | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    show: Show = silent,
) -> FewShotModel:
    """A classifier of a few labelled rows.

    Args:
        support: rows with labels, in any order.
        backbone: a name, the folder of `pretrain`, `meta_train` or a run, ``{"name": ..., setting: ...}``, or a
            `torch.nn.Module`; None: by modality.
        level: "auto" (of a folder of `meta_train` its own learner), "lora", a level of `LEVELS`, or a mapping with
            ``name`` and settings.
        abstain: the share of rows of the known classes that may be answered "none of these", or None.
        seed: of the parts in which rows are held out.
        device: where the backbone runs.
        precision: fp32, bf16, or auto: bf16 where it is fast and agrees with fp32.
        show: called with the progress of reading.

    Raises:
        DataError: no labels, one class only, or rows that the backbone cannot use.
        SettingsError: settings that cannot be.
    """
    lora, own = _lora(level, abstain), _own(level, backbone)
    if lora is None and own is None:
        candidates(level)  # what is misspelled is said before anything is read
    rows, targets, classes, odd = _prepared(support)
    answering: str | Mapping[str, Any] | LearnedLevel = level
    if own is not None:
        network, layer, answering = reads(own, rows, len(classes))
    else:
        network = _backbone(backbone, rows, seed)
        layer = network.check_layer(None)
    where = place(device, precision)  # type: ignore[arg-type]
    name = str(where.device)
    kind = settled(network, [rows], [layer], name, where.precision) if precision == "auto" else where.precision
    if lora is not None:
        bench = Workbench(lora, network, layer, rows, classes, replace(where, precision=kind), seed, show)
        network, classifier = tune(bench, targets, level)
    else:
        features = _features(network, rows, layer, {"device": name, "precision": kind}, show)
        classifier = fit(features, targets, classes, level=answering, abstain=abstain, seed=seed)
    return FewShotModel(network, layer, name, kind, rows.sealed().schema, classifier, rows.ids, support.notes, odd)


def read_support(
    place: Any, *, input: Sequence[str] | None = None, label: str | None = None, modality: Modality | None = None
) -> Domain:
    """The labelled rows of a place; None as ``label`` is the class folder of files, and a column "label" of tables.

    Raises:
        DataError: there are no labels, or they cannot be read.
    """
    try:
        return read(place, input=input, label=label or "label", modality=modality)
    except DataError as error:
        if label is None and "'label'" in str(error):
            raise DataError(f"{error}; name the support's labels with --label") from None
        raise


def default(modality: Modality) -> str:
    """The backbone that is taken unless one is named; it is pretrained, or has nothing to learn."""
    return DEFAULTS.get(modality) or registry.default(modality)


def _prepared(support: Domain) -> tuple[Domain, Tensor, tuple[str, ...], tuple[str, ...]]:
    """Distinct rows in an order that depends on content alone, their classes, and what is odd about them."""
    if support.labels is None:
        raise DataError(f"{support.name}: the support has no labels; name their column with label")
    if support.schema.modality == "image" and set(support.labels) == {"images"}:
        raise DataError(
            f"{support.name}: its images lie in one folder 'images', as those with boxes or masks do; few-shot learns "
            "classes of whole images, a folder each. Boxes: `acclimate adapt --task detect`, masks: --task segment"
        )
    ordered = support.select(support.order)
    assert ordered.labels is not None
    labels = ordered.labels.astype(str)
    again = np.zeros(len(ordered), dtype=bool)
    again[1:] = (ordered.ids[1:] == ordered.ids[:-1]) & (labels[1:] == labels[:-1])
    rows, labels = ordered.select(np.flatnonzero(~again)), labels[~again]
    if len(rows) > MOST:
        raise SettingsError(
            f"{support.name}: {len(rows)} labelled rows are not few (at most {MOST}); "
            "use `acclimate adapt --source ... --method source_only`"
        )
    odd = []
    if again.any():
        odd.append(f"{int(again.sum())} rows of the support are repeated; each counts once")
    torn = len(rows) - len(np.unique(rows.ids))
    if torn:
        odd.append(f"{torn} rows of the support are there again with another label")
    names, targets = np.unique(labels, return_inverse=True)
    return rows, torch.from_numpy(targets.astype(np.int64)), tuple(names.tolist()), tuple(odd)


def _backbone(backbone: Any, rows: Domain, seed: int) -> Backbone:
    """A frozen backbone that knows something, its preprocessing learned on the support alone."""
    modality = rows.schema.modality
    named = default(modality) if backbone is None else given.named(backbone)
    objects = given.networks(named, [rows])
    if objects:
        network: Backbone = next(iter(objects.values()))()
    else:
        wanted = {"name": named} if isinstance(named, str) else dict(named)
        network = registry.create(wanted.pop("name"), modality, wanted, seed)
    if not network.spec.pretrained:
        raise SettingsError(
            f"backbone '{network.spec.name}' starts from scratch: frozen it knows nothing; name a pretrained one "
            f"({default(modality)}), or the folder of `acclimate meta-train`"
        )
    network.fit(rows.sealed())
    return network.eval()


def _features(backbone: Backbone, domain: Domain, layer: str, where: Mapping[str, str], show: Show) -> Tensor:
    progress = partial(_reading, show, domain.name)
    found = embed(backbone, domain, [layer], progress=progress, **where)[layer]  # type: ignore[arg-type]
    values = found.toarray() if hasattr(found, "toarray") else np.asarray(found)
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _reading(show: Show, name: str, done: int, total: int) -> None:
    show("reading", name, done, total, {})
