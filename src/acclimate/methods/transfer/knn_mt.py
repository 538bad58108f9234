"""kNN-MT: what is written is mixed with what labelled target texts said in the like state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from acclimate.backbones.base import Backbone
from acclimate.backbones.datastore import Datastore, shares
from acclimate.backbones.writer import Writer
from acclimate.domains.domain import Domain
from acclimate.methods.base import Method
from acclimate.methods.data import Data, Need
from acclimate.methods.transfer.source_only import SourceOnly
from acclimate.training.model import Model
from acclimate.training.stage import Adjust, Reader, Stage

WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
TEMPERATURES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


@dataclass(frozen=True)
class KNNMT(Method):
    """A memory of labelled target texts beside the network, which itself does not change.

    Each token of the given texts is kept with the decoder's state before it. While writing, the tokens that followed
    the nearest states get a part of the probability (Khandelwal et al., equations 2 and 3)::

        p_kNN(y) = sum over neighbours with token y of softmax(-d / temperature),  d the squared distance
        p(y)     = weight * p_kNN(y) + (1 - weight) * p_model(y)

    The network is first trained on the source, or with ``--tune frozen`` taken as it is. Where weight and temperature
    are left open, held-out labelled target rows choose them, by how likely they make the right tokens: nothing is
    mixed in if that does not help.

    Helps where terms and phrases of the target come back; it takes a moment and no gradient. Hurts where states say
    little of the target (those of a weak network are near to the wrong places), and on source texts, whose answers are
    mixed as well. The search is exact, and meant for up to 100,000 tokens.

    Related: finetune (changes the network), joint.

    Khandelwal et al., Nearest Neighbor Machine Translation, ICLR 2021.

    Attributes:
        neighbours: how many count (paper: 8 to 64).
        weight: of what they say, 0 to 1 (paper: 0.4 to 0.8 in other domains); None is chosen.
        temperature: from small, the nearest alone, to large, all alike (paper: 10 to 100); None is chosen.
    """

    neighbours: int = 8
    weight: float | None = None
    temperature: float | None = None

    name: ClassVar[str] = "knn_mt"
    about: ClassVar[str] = "a datastore of labelled target texts, no gradient (Khandelwal et al. 2021)"
    ranges: ClassVar[Mapping[str, str]] = {"neighbours": "[1, inf)", "weight": "[0, 1]", "temperature": "(0, inf)"}
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"neighbours": (8, 16, 32)}
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_labels", "writing")

    def lacks(self, backbone: Backbone, frozen: bool) -> str:
        """A writer whose answers can be mixed."""
        if backbone.writer().remembers:
            return ""
        return f"method '{self.name}' needs an encoder-decoder of texts, and backbone '{backbone.spec.name}' is none"

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """Training on the source, then the memory."""
        known, held_out = data.labelled_target, data.labelled_target_validation
        assert known is not None
        return [*SourceOnly().stages(data, convex), Adjust("datastore", partial(self._remember, known, held_out))]

    def _remember(self, known: Domain, held_out: Domain | None, model: Model, reader: Reader) -> dict[str, float]:
        found = [(states, ids) for states, _, ids in _states(known, model, reader)]
        keys, tokens = (torch.cat(parts) for parts in zip(*found, strict=True))
        memory = Datastore(keys, tokens, neighbours=self.neighbours)
        weight, temperature = self.weight, self.temperature
        if (weight is None or temperature is None) and held_out is not None and len(held_out):
            weight, temperature = self._chosen(memory, _states(held_out, model, reader))
        weight = 0.5 if weight is None else weight
        temperature = 10.0 if temperature is None else temperature
        assert isinstance(model.head, Writer)
        model.head.datastore = Datastore(
            keys, tokens, neighbours=self.neighbours, weight=weight, temperature=temperature
        )
        return {"tokens": len(tokens), "weight": weight, "temperature": temperature}

    def _chosen(self, memory: Datastore, told: Iterator[tuple[Tensor, Tensor, Tensor]]) -> tuple[float, float]:
        """Weight and temperature, as far as they are open, that make the right tokens of held-out rows likeliest."""
        weights = WEIGHTS if self.weight is None else (self.weight,)
        heats = TEMPERATURES if self.temperature is None else (self.temperature,)
        sums = torch.zeros(len(weights), len(heats), dtype=torch.float64)
        for states, logits, ids in told:
            alone = logits.softmax(1).gather(1, ids[:, None])[:, 0].double()
            distances, tokens = memory.nearest(states)
            hits = tokens == ids[:, None]
            for column, heat in enumerate(heats):
                near = (shares(distances, heat) * hits).sum(1).double()
                for row, weight in enumerate(weights):
                    sums[row, column] += ((1 - weight) * alone + weight * near).clamp_min(1e-12).log().sum()
        best = divmod(int(sums.argmax()), len(heats))
        return weights[best[0]], heats[best[1]]


@torch.no_grad()
def _states(domain: Domain, model: Model, reader: Reader) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """`Writer.states` of every row with its label, in batches whose order depends on content alone."""
    ordered, start, writer = domain.select(domain.order), 0, model.head
    assert ordered.labels is not None and isinstance(writer, Writer)
    model.eval()
    for batch in reader.batches(ordered):
        read = model.features(batch.inputs)
        texts = [str(label) for label in ordered.labels[start : start + len(batch)]]
        start += len(texts)
        yield writer.states(read.values, read.mask, texts)
