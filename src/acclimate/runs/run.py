"""A run: its result, its model, and what can be asked of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from acclimate.backbones.base import Backbone
from acclimate.errors import SettingsError, unknown
from acclimate.files import path_name
from acclimate.runs import result
from acclimate.runs.evaluate import open_seal
from acclimate.runs.given import several
from acclimate.runs.predictor import Predictor
from acclimate.runs.recipe import parse as parse_recipe

if TYPE_CHECKING:
    import pandas as pd


class Run:
    """What one `adapt` produced.

    Attributes:
        folder: where it lives.
        result: the content of result.json.
    """

    def __init__(self, folder: Path | str, backbone: Backbone | None = None):
        self.folder = Path(folder)
        self.result: dict[str, Any] = result.load(self.folder)
        self._backbone = backbone

    @property
    def decision(self) -> str:
        """adapt, keep_source or do_not_deploy; made without target labels."""
        return self.result["decision"]

    @property
    def reasons(self) -> list[str]:
        """Why, in sentences."""
        return self.result["reasons"]

    @property
    def verdict(self) -> str | None:
        """helped, no_evidence or hurt; None until `evaluate` opened target labels."""
        return self.result["verdict"]

    @cached_property
    def model(self) -> Predictor:
        """The model that the decision chose."""
        return self.arm(self.result["model"])

    def arm(self, name: str, device: str = "auto") -> Predictor:
        """The model of one arm, whatever the decision was; `result` lists the arms.

        Raises:
            SettingsError: no such arm.
        """
        rows = {row["name"]: row for row in self.result["arms"]}
        if name not in rows:
            raise SettingsError(unknown("arm", name, rows))
        own = rows[name]["backbone"] == self.result["backbone"]  # a network from Python is not the plain baseline's
        folder = self.folder / "arms" / path_name(name) / "model"
        return Predictor.load(folder, device, backbone=self._backbone if own else None)

    def evaluate(
        self,
        data: Any,
        *,
        label: str | None = None,
        input: str | list[str] | None = None,
        group: str | None = None,
        sensitive: str | Sequence[str] = (),
        force: bool = False,
        device: str = "auto",
    ) -> dict[str, Any]:
        """Open the seal: metrics of every arm on labelled target rows, and the verdict; written into the run."""
        load = partial(self.arm, device=device)
        named = parse_recipe({"sensitive": sensitive}).sensitive
        value = open_seal(self.folder, data, load, label=label, input=input, group=group, sensitive=named, force=force)
        self.result = result.load(self.folder)
        return value

    def audit(
        self,
        members: Any,
        others: Any,
        *,
        shadows: int = 0,
        canaries: int = 0,
        budget: float | str | None = None,
        source_free: str | None = None,
        seed: int = 0,
        device: str = "auto",
    ) -> dict[str, Any]:
        """What the models tell of the rows that they were trained on (docs/privacy.md); see `acclimate.runs.audit`."""
        from acclimate.runs.audit import audit
        from acclimate.runs.recipe import seconds

        return audit(
            self.folder, several(members), several(others), partial(self.arm, device=device), shadows=shadows,
            canaries=canaries, seconds=None if budget is None else seconds(budget), source_free=source_free, seed=seed,
        )  # fmt: skip

    def export(
        self,
        out: str | Path,
        *,
        forget_classes: Sequence[str] = (),
        only_target: bool = False,
        source: Any = None,
        target: Any = None,
    ) -> dict[str, Any]:
        """Write the model into a folder that needs nothing of the run; see `acclimate.runs.export`.

        ``forget_classes`` are classes that only the source had, ``only_target`` all that the target is known to lack:
        the exported model has no weights and no names of these, and what remains of them is measured.
        """
        from acclimate.runs.export import export

        return export(
            self.folder, Path(out), forget_classes=forget_classes, only_target=only_target, backbone=self._backbone,
            source=several(source) or None, target=several(target) or None, backbones=self._networks,
        )  # fmt: skip

    def moved(
        self,
        *,
        arm: str | None = None,
        others: Sequence[str | Path] = (),
        source: Any = None,
        target: Any = None,
        out: str | Path | None = None,
        seed: int = 0,
        device: str = "auto",
    ) -> dict[str, Any]:
        """How alike each layer of the network is before and after, and what was forgotten; see `acclimate.runs.moved`.

        ``others`` are runs of the same recipe with other seeds. ``moved.json`` goes into ``out``, or into the run.
        """
        from acclimate.runs.moved import moved

        return moved(
            self.folder, partial(self.arm, device=device), self.folder if out is None else Path(out), arm=arm,
            others=[Path(other) for other in others], source=several(source) or None, target=several(target) or None,
            backbones=self._networks, seed=seed,
        )  # fmt: skip

    @property
    def _networks(self) -> dict[str, Any] | None:
        """A network from Python by its name, as a function that gives fresh copies."""
        return None if self._backbone is None else {self.result["backbone"]: partial(deepcopy, self._backbone)}

    def influence(
        self,
        *,
        data: Any = None,
        label: str | None = None,
        input: str | list[str] | None = None,
        arm: str | None = None,
        remove: float = 0.05,
        source: Any = None,
        target: Any = None,
        out: str | Path | None = None,
        force: bool = False,
        seed: int = 0,
        device: str = "auto",
        say: Callable[[str], None] = lambda sentence: None,
    ) -> dict[str, Any]:
        """Which source rows helped or hurt on the target, checked by training again without some (docs/influence.md).

        See `acclimate.runs.influence.influence`. ``label`` names the labels of ``data`` (or of the run's target) and
        opens the seal for them, which is recorded; without it no sealed label is read. ``source`` and ``target`` are
        given again where they came from Python. ``influence.json`` goes into ``out``, or into the run.
        """
        from acclimate.runs.influence.influence import influence

        value = influence(
            self.folder, partial(self.arm, device=device), self.folder if out is None else Path(out),
            data=several(data), label=label, input=input, arm=arm, remove=remove, source=several(source) or None,
            target=several(target) or None, backbones=self._networks, force=force, seed=seed, say=say,
        )  # fmt: skip
        self.result = result.load(self.folder)
        return value

    def label_plan(
        self,
        n: int,
        output: str | Path,
        *,
        source: Any = None,
        target: Any = None,
        device: str = "auto",
        force: bool = False,
    ) -> dict[str, Any]:
        """Write the ``n`` target rows to label next into a file, and say what labels would buy (docs/result.md).

        ``source`` and ``target`` are given again where they came from Python. No target label is looked at that the run
        was not permitted to train on. A file that is there is replaced with ``force`` alone: it may hold labels.
        """
        from acclimate.domains.writer import FrameWriter
        from acclimate.runs.label_plan import label_plan

        if Path(output).exists() and not force:
            raise SettingsError(f"{output} is there already, and may hold labels; --force replaces it")
        given = {name: several(data) or None for name, data in (("source", source), ("target", target))}
        writer = FrameWriter(output)
        frame, report = label_plan(self.folder, n, partial(self.arm, device=device), **given)
        with writer:
            writer.write(frame)
        return {"output": str(output), **report}

    def predict(self, data: Any, **options: Any) -> pd.DataFrame | Path:
        """The answers of the model to use; arguments as for `Predictor.predict`."""
        return self.model.predict(data, **options)

    def predict_proba(self, data: Any, *, input: str | list[str] | None = None) -> np.ndarray:
        """See `Predictor.predict_proba`."""
        return self.model.predict_proba(data, input=input)

    def __repr__(self) -> str:
        r = self.result
        return (
            f"Run({str(self.folder)!r}, {r['method']} on {r['backbone']}, decision {r['decision']}, "
            f"verdict {r['verdict'] or 'sealed'})"
        )
