"""The training loop: several streams, several players, exact resume.

Every random draw is a function of (seed, stream, step), so a checkpoint is parameters, optimizer
states and counters, and a resumed run continues bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from acclimate import memory
from acclimate.domains.batch import Batch
from acclimate.errors import DivergedError, InterruptedRunError
from acclimate.training import checkpoint, interrupt
from acclimate.training.ahead import Ahead
from acclimate.training.device import Place
from acclimate.training.episodes import EpisodeStream
from acclimate.training.guard import Guard
from acclimate.training.keep import Best, Watch
from acclimate.training.model import Model, seeded
from acclimate.training.settings import Training, Tune
from acclimate.training.stage import Loop
from acclimate.training.step import NotFiniteError, Stepper
from acclimate.training.stream import Stream
from acclimate.training.tune import Tuning

WARM_STEPS = 10
"""Steps after which a time budget is turned into a number of steps."""
LOG_EVERY = 10


@dataclass
class Report:
    """Where a loop tells what it does; the defaults are silent."""

    log: Callable[[dict[str, Any]], None] = lambda row: None
    progress: Callable[[int, int, Mapping[str, float]], None] = lambda step, total, losses: None
    warn: Callable[[str], None] = lambda sentence: None


@dataclass
class Counters:
    """What a checkpoint holds beside tensors.

    Attributes:
        step: steps done.
        total: steps planned; a budget may lower it.
        seconds: time spent, over all sittings.
    """

    step: int = 0
    total: int = 0
    seconds: float = 0.0


class Trainer:
    """One `Loop` on one model; `train` leaves the model with the kept state, in evaluation mode."""

    def __init__(
        self,
        model: Model,
        stage: Loop,
        *,
        tune: Tune,
        training: Training,
        place: Place,
        seed: int,
        folder: Path | None = None,
        watch: Watch | None = None,
        deadline: float | None = None,
        report: Report | None = None,
        guard: Guard | None = None,
    ):
        if stage.task is not None:
            model.new_head(stage.task)
        self.model, self.stage, self.training, self.place = model, stage, training, place
        self.folder, self.watch, self.deadline, self.report = folder, watch, deadline, report or Report()
        self.guard = guard
        if guard is not None:
            guard.begin(stage.method)
        with seeded(seed, "parts"):
            parts = stage.method.parts(model.sites)
        model.to(place.device)
        self.parts = {name: part.to(place.device) for name, part in parts.items()}
        self.tuning = Tuning(model, tune, training)
        self.stepper = self._stepper(
            model=model, method=stage.method, parts=self.parts, tuning=self.tuning, training=training, place=place,
            seed=seed,
        )  # fmt: skip
        self.streams = self._streams(seed)
        self.epoch = next(iter(self.streams.values())).batches
        self.planned = training.steps or max(1, round(training.epochs * self.epoch))
        self.counters = Counters(total=self.planned)
        self.best: Best | None = None

    def _stepper(self, **options: Any) -> Stepper:
        return Stepper(**options)

    def _streams(self, seed: int) -> Mapping[str, Stream | EpisodeStream]:
        backbone, task, stage, size = self.model.backbone, self.model.task, self.stage, self.training.batch_size
        if stage.episodes is not None:
            return {"source": EpisodeStream("source", stage.episodes, backbone, task, size=size, seed=seed)}
        extra = {name: (stage.views.get(name, ()), stage.soft.get(name)) for name in stage.streams}
        return {
            name: Stream(name, domain, backbone, task, size=size, seed=seed, views=extra[name][0], soft=extra[name][1])
            for name, domain in stage.streams.items()
        }

    def train(self) -> Counters:
        """Run to the end, or from the last checkpoint to the end.

        Raises:
            DivergedError: loss or gradient is not finite; the last good state is saved.
            InterruptedRunError: a signal asked to stop; the state is saved.
        """
        self._resume()
        self.tuning.train()
        before = torch.get_rng_state()
        try:
            with interrupt.heeded(), memory.kept(), Ahead(self.streams, self.place) as ahead:
                self._steps(ahead)
                self._heed_signals()
        finally:
            torch.set_rng_state(before)
        if self.best is not None:
            self.model.load_state_dict(self.best.state)
        self.tuning.at(1.0)
        self.model.eval()
        return self.counters

    def _steps(self, ahead: Ahead) -> None:
        done = self.counters
        begun = last_saved = time.monotonic()
        spent, begun_at = done.seconds, done.step
        while done.step < done.total and not self._enough():
            self._heed_signals()
            losses = self._step(ahead)
            now = time.monotonic()
            done.step += 1
            done.seconds = spent + now - begun
            self._fit_budget(now, (now - begun) / (done.step - begun_at))
            self._tell(losses)
            self._judge()
            self._look()
            if now - last_saved >= self.training.checkpoint_seconds:
                self._save()
                last_saved = now
        if done.step > begun_at:  # so that a later stage resumes from the end of this one
            self._save()

    def _step(self, ahead: Ahead) -> Mapping[str, Tensor]:
        done, guard = self.counters, self.guard
        watched = guard is not None and guard.opens(done.step, done.total, self.training.batch_size)
        self.stepper.see = guard.see if guard is not None and watched else None
        try:
            return self._update(ahead.batches(done.step))
        except NotFiniteError as error:
            if guard is not None:
                guard.forget()
            raise diverged(self.stage.name, str(error), done.step, self._save_if_finite()) from None

    def _update(self, batches: Mapping[str, Batch]) -> Mapping[str, Tensor]:
        return self.stepper.step(batches, self.counters.step, self.counters.step / self.counters.total)

    def _heed_signals(self) -> None:
        number = int(self.place.largest(interrupt.requested() or 0))
        if number:
            self._save()
            raise InterruptedRunError(f"stopped by signal {number} at step {self.counters.step}", number)

    def _judge(self) -> None:
        """At the end of an epoch, or when a look is due, score the model and remember the best."""
        done, watch = self.counters, self.watch
        if watch is None:
            return
        every = -(-done.total // watch.looks) if watch.looks else self.epoch
        if done.step % every and done.step != done.total:
            return
        best = self._scored(watch, self.model, self.report, self.best)
        self.best = best if watch.keep else None

    def _scored(self, watch: Watch, model: Model, report: Report, best: Best | None) -> Best:
        score = self.place.first(watch.score(model))
        report.log({"step": self.counters.step, "score": score})
        return Best.of(best, model, score, self.counters.step)

    def _look(self) -> None:
        """Let the guard look."""
        if self.guard is not None and not self.place.rank:
            self._ask(self.guard, self.model, self.report)

    def _ask(self, guard: Guard, model: Model, report: Report) -> None:
        """Let a guard look, and pass on what it has to say."""
        done = self.counters
        found = guard.look(model, self.parts, done.step, done.total, self.training.batch_size * len(self.streams))
        if found is None:
            return
        measured, sentences = found
        if measured:
            report.log({"step": done.step, "measured": measured})
        for sentence in sentences:
            report.log({"step": done.step, "warning": sentence})
            report.warn(sentence)

    def _enough(self) -> bool:
        if self.watch is None or self.watch.patience is None or self.best is None:
            return False
        return self.counters.step - self.best.step >= self.watch.patience * self.epoch

    def _fit_budget(self, now: float, rate: float) -> None:
        """After a few steps, plan as many as the time allows; the plan is part of the checkpoint."""
        if self.deadline is None:
            return
        done = self.counters
        if done.step == WARM_STEPS:
            done.total = min(done.total, done.step + int(max(0.0, self.deadline - now) / rate))
        elif now > self.deadline:
            done.total = done.step
        done.total = int(self.place.first(done.total))

    def _tell(self, losses: Mapping[str, Tensor]) -> None:
        done = self.counters
        if done.step % LOG_EVERY == 0 or done.step in (1, done.total):
            self._log(losses)

    def _log(self, losses: Mapping[str, Tensor]) -> None:
        shown = {name: round(float(value), 6) for name, value in losses.items()}
        self.report.log({"step": self.counters.step, "losses": shown})
        self.report.progress(self.counters.step, self.counters.total, shown)

    def record(self) -> dict[str, Any]:
        """What a run keeps of the loop, as plain values."""
        done = self.counters
        found: dict[str, Any] = {
            "stage": self.stage.name,
            "steps": done.step,
            "planned": self.planned,
            "epochs": round(done.step / self.epoch, 2),
            "seconds": round(done.seconds, 3),
        }
        if done.total < self.planned:
            found["cut"] = done.total
        if self.best is not None:
            found |= self.best.record(self.epoch)
        if self.stepper.pieces > 1:
            found["accumulated"] = self.stepper.pieces
        return found

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, as nested mappings of tensors and plain values."""
        scaler = self.stepper.scaler
        return {
            "model": self.model.state_dict(),
            "best": {} if self.best is None else vars(self.best),
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "optimizer": checkpoint.optimizer_state(self.stepper.optimizer),
            "counters": vars(self.counters),
            "pieces": self.stepper.pieces,
            "scaler": {} if scaler is None else scaler.state_dict(),
            "guard": {} if self.guard is None else self.guard.state(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        self.model.load_state_dict(state.get("model", {}))
        self.best = Best(**state["best"]) if state.get("best") else None
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        checkpoint.restore_optimizer(self.stepper.optimizer, state.get("optimizer", {}))
        self.counters = Counters(**state["counters"])
        self.stepper.pieces = state["pieces"]
        if self.stepper.scaler is not None:
            self.stepper.scaler.load_state_dict(state["scaler"])
        if self.guard is not None:
            self.guard.load(state.get("guard", {}))

    def _save(self) -> Path | None:
        if self.folder is None or self.place.rank:
            return None
        return checkpoint.save(self.folder, self.counters.step, self.state())

    def _save_if_finite(self) -> Path | None:
        """A step that failed may have left its mark in running statistics: then the older checkpoint stands."""
        tensors, _ = checkpoint.flatten(self.state())
        if all(bool(value.isfinite().all()) for value in tensors.values()):
            return self._save()
        return self.folder if self.folder and checkpoint.saved(self.folder) else None

    def _resume(self) -> None:
        state = checkpoint.load(self.folder) if self.folder else None
        if state is not None:
            self.load(state)


def diverged(stage: str, what: str, step: int, kept: Path | None = None) -> DivergedError:
    """The error of a training whose next step is not finite."""
    where = f"; the state before it is kept in {kept}" if kept else ""
    return DivergedError(
        f"{stage}: {what} at step {step + 1} is not finite{where}; "
        "try a smaller --set training.learning_rate, or --precision fp32"
    )
