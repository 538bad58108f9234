"""A model to use: predict, probabilities and features, on objects or on files larger than memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from acclimate.backbones.base import Backbone
from acclimate.domains import audio
from acclimate.domains.domain import INTERACTIONS, Domain
from acclimate.domains.frames import stream
from acclimate.domains.locator import parse
from acclimate.domains.mask_writer import MaskWriter
from acclimate.domains.read import read
from acclimate.domains.writer import FrameWriter
from acclimate.errors import DataError, SettingsError
from acclimate.runs import recommend, result, store
from acclimate.runs.certainty import realised
from acclimate.runs.features import Features
from acclimate.runs.layout import Layout
from acclimate.runs.sentences import SentenceFeatures
from acclimate.runs.sure import Sure
from acclimate.runs.written import Written
from acclimate.tasks.answers import Answers
from acclimate.tasks.base import KEPT
from acclimate.training.device import Place, place
from acclimate.training.infer import Want, features, infer, outputs, outputs_and_features
from acclimate.training.model import Model
from acclimate.trust.certainty.certainty import Certainty
from acclimate.trust.fairness.groups import columns
from acclimate.trust.fairness.thresholds import Thresholds

if TYPE_CHECKING:
    import pandas as pd


class Predictor:
    """A saved model. Needs its folder only: no network, no training data.

    Attributes:
        task: "classify", "regress", "answer", ...
        classes: names of the classes, empty for a regression.
        inputs: the columns that it reads from tables.
        origin: arm, method, backbone and the like.
        certainty: what it knows of its own certainty, or None.
    """

    def __init__(
        self,
        model: Model,
        card: store.Card,
        device: str = "auto",
        precision: str | None = None,
        certainty: Certainty | None = None,
        thresholds: Thresholds | None = None,
    ):
        self._model, self._card, self.certainty = model, card, certainty
        self._layout, self._thresholds = Layout(card), thresholds
        self._place = _place(device, precision, card.origin.get("precision", "auto"))
        model.to(self._place.device)
        self.task = model.task.name
        self.classes: tuple[str, ...] = getattr(model.task, "classes", ())
        self.inputs = card.schema.inputs
        self.origin = card.origin
        self._unseen: dict[str, set[str]] = {}
        self._odd: tuple[str, ...] = ()
        self._sure: Sure | None = None
        self._told: tuple[str, ...] = ()

    @classmethod
    def load(
        cls, folder: Path | str, device: str = "auto", precision: str | None = None, backbone: Backbone | None = None
    ) -> Predictor:
        """The model of a run folder or of a model folder.

        Raises:
            DataError: no readable model there.
        """
        folder = Path(folder)
        inner = folder / "model"
        robots = (folder / "inputs.json").is_file()
        if robots or (folder / "meta.json").is_file() or not (inner / store.CONFIG).is_file():
            result.check_finished(folder)
            inner = folder
        return cls(*store.load(inner, backbone), device, precision, Certainty.load(inner), Thresholds.load(inner))

    def __repr__(self) -> str:
        origin = self.origin
        return f"Predictor({origin.get('method')} on {origin.get('backbone')}, {self.task}, reads {self.inputs or '-'})"

    def answers(self, domain: Domain, *, cached: bool = False) -> Answers:
        """Answers for the rows of a domain, in its order.

        ``cached`` takes the features of a frozen backbone from the cache that training filled, which changes
        probabilities within float tolerance only.
        """
        said = self._infer(domain, outputs, () if cached else None)
        return self._model.task.decode(said, self._card.temperature, self._card.offsets, domain.rows)

    def realised(self, record: Mapping[str, Any], answers: Answers, domain: Domain) -> dict[str, Any]:
        """What the labels of a domain say of the certainty that was claimed before (`acclimate.runs.certainty`)."""
        assert self.certainty is not None and domain.labels is not None
        read = self.certainty.knows_place or self.certainty.promise == "weighted"
        known = self.features(domain, ()) if read else None
        task, offsets = self._model.task, self._card.offsets
        groups = columns(domain.sensitive)
        return realised(task, record, self.certainty, answers, domain.labels, known, offsets, groups)

    def _infer(self, domain: Domain, want: Want, wholes: Sequence[Domain] | None) -> dict[str, np.ndarray]:
        """What is wanted of every row; features of a frozen backbone through the cache unless ``wholes`` is None."""
        with self.reading(domain, wholes) as (model, rows):
            return infer(model, rows, self._place, want=want)

    @contextmanager
    def reading(self, domain: Domain, wholes: Sequence[Domain] | None = None) -> Iterator[tuple[Model, Domain]]:
        """Inside the block, the network and the rows as it reads them.

        Of a text by its sentences these are their features; so are those of any row where the backbone is frozen and
        ``wholes`` is not None, and then they come through the cache. The network is the predictor's own.
        """
        model, domain = self._model, self._layout.fit(domain)
        sentences = model.task.reads == "sentences"
        frozen = self.origin.get("tune") == "frozen" and model.task.reads in KEPT
        if not sentences and (wholes is None or not frozen):
            yield model, domain
            return
        real, kind = model.backbone, SentenceFeatures if sentences else Features
        cached = kind(real, (model.layer,), self._place, wholes or ())
        rows = cached.of(domain)[model.layer]
        model.backbone = cached.reader(model.layer)
        try:
            yield model, rows
        finally:
            model.backbone = real

    @property
    def notes(self) -> tuple[str, ...]:
        """What is odd about the rows that `predict` answered last, a sentence each."""
        never = (f"{what} that training never knew: {len(names)}" for what, names in self._unseen.items() if names)
        return (*self._odd, *never, *(() if self._sure is None else (self._sure.note,)), *self._told)

    @property
    def network(self) -> Model:
        """The network itself, for whoever looks into it: on `place`, in any mode."""
        return self._model

    @property
    def place(self) -> Place:
        """Where it computes."""
        return self._place

    @property
    def width(self) -> int:
        """Number of features that the head reads."""
        return self._model.neck.size

    @property
    def sparse(self) -> bool:
        """Whether these features are sparse; `features` cannot give such."""
        return self._model.backbone.spec.sparse and not self._model.neck.moves

    def features(self, domain: Domain, wholes: Sequence[Domain] | None = None) -> np.ndarray:
        """The features ``[n, width]`` float32 that the head reads, in the domain's order.

        With ``wholes``, what a frozen backbone says of these domains is taken from the cache that training filled.
        """
        return self._infer(domain, features, wholes)["features"]

    def predict(
        self,
        data: Any,
        *,
        input: str | list[str] | None = None,
        output: str | Path | None = None,
        k: int | None = None,
        masks: str | Path | None = None,
        sets: float | None = None,
        abstain: float | None = None,
        equal_opportunity: str | None = None,
    ) -> pd.DataFrame | Path:
        """Predict new rows; keeps their columns and order and adds the answers.

        Args:
            data: a locator or path, DataFrame, array, list of texts, ...
            input: input columns where they are named otherwise than in training.
            output: a file (csv, tsv, jsonl, parquet or arrow) to stream into; rows are then never all in memory.
            k: of a ranking, how many items each user is offered (10).
            masks: where pixels are answered, a folder for masks as PNG files, see `MaskWriter`.
            sets: coverage, such as 0.9: adds ``set``, the classes (JSON) of which one is right with this probability,
                or ``low`` and ``high`` of numbers.
            abstain: error rate, such as 0.05: only rows sure enough that at most this share of the answers is wrong
                are answered, others get an empty ``prediction``. With either, ``in_place`` is the share of held-out
                rows that are as far from what was trained on (0.01 and less: out of place).
            equal_opportunity: a column of the data with groups of people, one of ``sensitive`` in `adapt`: the answer
                of two classes is the second one from a probability that is the group's own, so that those who deserve
                it get it equally often (Hardt et al. 2016, on held-out source rows).

        Returns:
            A frame with the input's columns and ``prediction``, ``confidence`` and ``probability_CLASS``
            (a regression has the prediction alone; of several numbers, their list as JSON), or the path written. Of a
            ranking: user, rank and item.
        """
        import pandas as pd

        self._unseen, self._odd = {}, ()
        if k is not None and self._card.schema.modality != "users":
            raise SettingsError(f"-k is how many items a ranking offers; this model is of task {self.task}")
        asked = sets is not None or abstain is not None
        self._sure = sure = Sure(self._model, self.certainty, sets, abstain) if asked else None
        with ExitStack() as stack:
            drawn = None if masks is None else stack.enter_context(self._mask_writer(masks))
            written = Written(k, drawn, sure, self._thresholds, equal_opportunity)
            self._told = written.notes
            if output is None:
                return pd.concat(list(self._frames(data, input, False, written)), ignore_index=True)
            writer = FrameWriter(output)
            if isinstance(data, str | Path) and Path(parse(data).path).resolve() == writer.path.resolve():
                raise SettingsError(f"{output} is the input; write the answers to another file")
            frames = self._frames(data, input, writer.typed, written)
            first = next(frames)  # what is wrong with the input shows before a file is begun
            stack.enter_context(writer)
            writer.write(first)
            for frame in frames:
                writer.write(frame)
        return Path(output)

    def _mask_writer(self, folder: str | Path) -> MaskWriter:
        """For masks in the values of those that were learned; in numbers, where these are not known."""
        if self._model.task.shapes != "masks":
            raise SettingsError(f"masks are answers of task segment; this model is of task {self.task}")
        legend = dict(self._card.schema.legend) or dict(enumerate(self._model.task.config()["categories"]))
        return MaskWriter(folder, legend)

    def predict_proba(self, data: Any, *, input: str | list[str] | None = None) -> np.ndarray:
        """Probabilities ``[n, classes]``, columns in the order of `classes`.

        Raises:
            DataError: a regression has none.
        """
        if not self.classes:
            raise DataError("a regression has no probabilities; use predict")
        chunks = [self.answers(domain).probabilities for _, domain in self._stream(data, input, False)]
        return np.concatenate([chunk for chunk in chunks if chunk is not None])

    def _frames(
        self, data: Any, input: str | list[str] | None, typed: bool, written: Written
    ) -> Iterator[pd.DataFrame]:
        if self._card.schema.modality == "users":
            users = recommend.offered(data, self._model, self._card.schema)
            self._look(users)
            yield recommend.listed(users, self.answers(users), written.k)
            return
        for frame, domain in self._stream(data, input, typed):
            yield written.beside(frame, *self._answered(domain, written.sure))

    def _answered(self, domain: Domain, sure: Sure | None) -> tuple[Answers, np.ndarray | None]:
        """Answers, and what the head reads of the rows where that is asked for."""
        if sure is None or not sure.reads:
            return self.answers(domain), None
        said = self._infer(domain, outputs_and_features, None)
        features = said.pop("features")
        return self._model.task.decode(said, self._card.temperature, self._card.offsets, domain.rows), features

    def _stream(self, data: Any, input: str | list[str] | None, typed: bool) -> Iterator[tuple[pd.DataFrame, Domain]]:
        columns = self._layout.columns(data, input)
        if self._card.schema.modality == "pairs":
            for frame, domain in recommend.rated(data, columns, self._card.schema, typed=typed):
                self._look(domain)
                yield frame, domain
            return
        like = self._layout.of(columns or ())[0]
        shapes = self._model.task.shapes
        for frame, domain in stream(data, columns, like.modality, typed=typed, like=like, shapes=shapes):
            if like.modality == "audio" and not self._odd:
                self._odd = audio.remarks(domain)
            if like.modality == "series":
                self._odd = domain.notes
            yield frame, self._layout.fitted(data, domain, input)

    def _look(self, domain: Domain) -> None:
        """Remember which users and items are new."""
        for what, names in recommend.unseen(self._model, domain).items():
            self._unseen.setdefault(what, set()).update(names)

    def read(self, data: Any, *, input: str | list[str] | None = None, **options: Any) -> Domain:
        """Read rows as this model reads them, labelled if ``label`` is given; options: `acclimate.read`, ``hit``."""
        if self._card.schema.modality in INTERACTIONS:
            if options.pop("sensitive", ()):
                raise SettingsError("sensitive columns are those of tables; interactions of users and items have none")
            if "label" not in options:
                return recommend.asked(data, self._model, self._layout.columns(data, input), self._card.schema)
            return recommend.read_labelled(data, self._model, self._card.schema, **options)
        columns = self._layout.columns(data, input)
        like = self._layout.of(columns or ())[0]
        options["structured"], options["shapes"] = self._model.task.structured, self._model.task.shapes
        domain = read(data, input=columns, modality=like.modality, like=like, **options)
        domain = domain if domain.labels is not None else self._model.task.self_labelled(domain)
        return self._layout.fitted(data, domain, input)


def _place(device: str, precision: str | None, trained: str) -> Place:
    """The precision asked for, else that of training where the device has it."""
    if precision is None and trained == "fp16" and place(device).device.type == "cpu":
        precision = "fp32"
    return place(device, precision or trained)  # type: ignore[arg-type]
