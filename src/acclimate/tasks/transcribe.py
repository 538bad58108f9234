"""What is said in a sound: written by a decoder, or spelled frame by frame (CTC)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.domains.domain import Domain, Modality, Rows
from acclimate.domains.rows import place_of
from acclimate.errors import DataError
from acclimate.tasks.answers import Answers, Metric
from acclimate.tasks.base import Kind, Reads, Task
from acclimate.tasks.metrics import Weighted
from acclimate.tasks.sites import Site, Units
from acclimate.tasks.word_errors import error_rates, normalized
from acclimate.tasks.writing import Write

WER = Metric("wer", higher_is_better=False)


@dataclass(frozen=True)
class TranscribeWritten(Write):
    """A transcript that the decoder of the backbone writes, such as Whisper's, in its own spelling.

    **Helps** where a pretrained network knows the language: a few transcripts teach it a voice, a noise, or a way to
    write. **Hurts** where sounds are unlike all that it was trained on: it then writes fluently what nobody said.
    """

    name: ClassVar[str] = "transcribe"
    modality: ClassVar[Modality] = "audio"
    primary: ClassVar[Metric] = WER

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """The task.

        Raises:
            DataError: no transcripts, an empty one, or rows that are no sounds.
        """
        check_transcripts(domain)
        return cls()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls()

    def weighted_metrics(self, answers: Answers, labels: np.ndarray) -> Weighted:
        """``wer`` and ``cer``, see `error_rates`."""
        return error_rates(list(answers.prediction), [str(label) for label in labels])


@dataclass(frozen=True)
class Transcribe(Task):
    """A transcript spelled by connectionist temporal classification (Graves et al., ICML 2006).

    A linear layer gives each frame a character of the source's transcripts or a blank; the loss of a clip is the
    negative log-likelihood of its transcript over all ways to align them (eq. 8), divided by its characters. What is
    said is the likeliest character of each frame, repeats joined, blanks left out (best path, section 3.2). Transcripts
    are learned in the form in which they are compared (`normalized`).

    **Helps** with speech encoders that have no decoder, and keeps to what was heard. **Hurts** from scratch with less
    than hours of speech. A character that the source's transcripts lack cannot be said: one in a transcript that is
    learned is an error, one in a transcript that is only evaluated counts among the mistakes.

    Attributes:
        alphabet: characters that can be said.
    """

    alphabet: str

    name: ClassVar[str] = "transcribe"
    kind: ClassVar[Kind] = "text"
    reads: ClassVar[Reads] = "states"
    explained: ClassVar[str] = "log-probability of the transcript by its characters"
    modality: ClassVar[Modality] = "audio"
    primary: ClassVar[Metric] = WER

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """The characters that transcripts have, sorted.

        Raises:
            DataError: no transcripts, one without a letter or figure, or rows that are no sounds.
        """
        texts = [normalized(str(label)) for label in check_transcripts(domain)]
        if not all(texts):
            raise DataError(
                f"{place_of(domain, texts.index(''))}: its transcript has no letter or figure; leave the row out"
            )
        return cls("".join(sorted(set("".join(texts)))))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(str(config["alphabet"]))

    def head(self, size: int) -> nn.Module:
        """Linear layer to the blank and the characters."""
        return nn.Linear(size, 1 + len(self.alphabet))

    def outputs(self, head: nn.Module, features: Units) -> dict[str, Tensor]:
        """``frames [n, t, 1 + characters]``, scores of the blank and of each character, and ``own [n]``: how many."""
        return {"frames": head(features.values), "own": features.mask.sum(1)}

    @property
    def probable(self) -> bool:
        """Frames have probabilities."""
        return True

    @property
    def tokenwise(self) -> bool:
        """Always: frames."""
        return True

    def tokens(self, outputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """All frames of the clips; a blank says nothing."""
        frames = outputs["frames"]
        own = torch.arange(frames.shape[1], device=frames.device) < outputs["own"].unsqueeze(1)
        return frames[own], frames[own].argmax(-1) > 0

    def sites(self, features: Units, outputs: Mapping[str, Tensor]) -> dict[str, Site]:
        """``features``, the mean over the frames of a row, and ``frames``, each with its probabilities."""
        pooled, rows = features.pooled, torch.arange(len(features.values), device=features.values.device)
        owner = rows.unsqueeze(1).expand(features.mask.shape)[features.mask]
        probs = outputs["frames"][features.mask].softmax(-1)
        return {"features": Site(pooled, rows), "frames": Site(features.values[features.mask], owner, probs)}

    def encode(self, labels: np.ndarray, rows: Rows | None = None) -> Tensor:
        """Numbers of the characters ``[n, longest]`` int64, 0 beyond a transcript.

        Raises:
            DataError: a character that is not in the alphabet.
        """
        texts = [normalized(str(label)) for label in labels]
        found = torch.zeros(len(texts), max(map(len, texts), default=0), dtype=torch.int64)
        for row, text in enumerate(texts):
            if unknown := sorted(set(text) - set(self.alphabet)):
                raise DataError(
                    f"the transcript '{text[:60]}' has '{unknown[0]}', which no transcript of the source has: nothing "
                    "can learn to say it. Add rows with it to the source, or spell it otherwise"
                )
            found[row, : len(text)] = torch.tensor([1 + self.alphabet.index(c) for c in text])
        return found

    def check(self, domain: Domain, *, learned: bool = True) -> None:
        """Refuse characters that nothing can learn to say; what is only judged by may have any.

        Raises:
            DataError: as of `encode`.
        """
        if learned:
            self.encode(check_transcripts(domain))

    def goal(self, answer: Any, rows: Rows, inputs: Any) -> Any:
        """The characters that were heard."""
        return self.encode(np.array([answer], dtype=object), rows)

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        """Negative log-likelihood of each transcript over its characters ``[n]``.

        Raises:
            DataError: a transcript for which its clip has too few frames.
        """
        lengths, own = (targets > 0).sum(1), outputs["own"]
        doubled = ((targets[:, 1:] == targets[:, :-1]) & (targets[:, 1:] > 0)).sum(1)  # a blank has to part them
        if (short := lengths + doubled > own).any():
            row = int(short.int().argmax())
            raise DataError(
                f"a clip has {int(own[row])} frames, and its transcript needs {int(lengths[row] + doubled[row])}: "
                f"'{self._text(targets[row].tolist())[:60]}'. Read more of each clip (backbone.seconds), or leave out "
                "rows whose transcript says more than the clip"
            )
        log = outputs["frames"].float().log_softmax(-1).transpose(0, 1)
        return F.ctc_loss(log, targets, own, lengths, reduction="none") / lengths.clamp(min=1)

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        temperature: float = 1.0,
        offsets: Sequence[float] = (),
        rows: Rows | None = None,
    ) -> Answers:
        """The best path; the confidence is the geometric mean of its frames' probabilities."""
        frames, own = torch.from_numpy(np.asarray(outputs["frames"])), np.asarray(outputs["own"]).astype(int)
        best, which = frames.log_softmax(-1).max(-1)
        texts = np.empty(len(own), dtype=object)
        texts[:] = [self._text(_joined(path[:n])) for path, n in zip(which.tolist(), own, strict=True)]
        sure = [float(values[: max(n, 1)].mean()) for values, n in zip(best.double().numpy(), own, strict=True)]
        return Answers(texts, confidence=np.exp(np.array(sure)))

    def weighted_metrics(self, answers: Answers, labels: np.ndarray) -> Weighted:
        """``wer`` and ``cer``, see `error_rates`."""
        return error_rates(list(answers.prediction), [str(label) for label in labels])

    def config(self) -> dict[str, Any]:
        """The name, and the alphabet."""
        return {"name": self.name, "alphabet": self.alphabet}

    def _text(self, numbers: Sequence[int]) -> str:
        return " ".join("".join(self.alphabet[k - 1] for k in numbers if k).split())


def check_transcripts(domain: Domain) -> np.ndarray:
    """The transcripts of a domain of sounds.

    Raises:
        DataError: rows that are no sounds, no transcripts, or an empty one.
    """
    if domain.schema.modality != "audio":
        raise DataError(f"{domain.name} is {domain.schema.modality}, and only sounds are transcribed")
    if domain.labels is None:
        raise DataError(f"{domain.name}: transcripts are needed; name their column with --label")
    for row, label in enumerate(domain.labels):
        if not str(label).strip():
            raise DataError(f"{place_of(domain, row)}: its transcript is empty; leave the row out")
    return domain.labels


def _joined(path: Sequence[int]) -> list[int]:
    """Repeats of a path as one."""
    return [k for before, k in zip([0, *path], path, strict=False) if k != before]
