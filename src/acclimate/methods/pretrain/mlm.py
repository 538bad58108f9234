"""Masked language modelling: read a text with words hidden, and say which they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.backbones.base import Backbone
from acclimate.backbones.transformers_text import TransformersText
from acclimate.domains.batch import Batch
from acclimate.domains.domain import Modality, Rows
from acclimate.errors import SettingsError
from acclimate.methods.pretrain.base import Pretraining
from acclimate.training.stage import Pass

IGNORED = -100
"""The answer at places where nothing is asked (torch's cross-entropy passes over it)."""


def mask_tokens(
    tokens: Tensor,
    hideable: Tensor,
    mask_token: int,
    vocabulary: int,
    rng: np.random.Generator,
    share: float = 0.15,
) -> tuple[Tensor, Tensor]:
    """Hide tokens: each hideable one is asked for with probability ``share``.

    Of those asked for, 80 % become the mask token, 10 % any token of the vocabulary, and 10 % stay as they are, so
    that states of unmasked words are trained too. Devlin et al., BERT, NAACL 2019, section 3.1.

    Args:
        tokens: ``[n, t]`` token numbers.
        hideable: ``[n, t]`` bool, where a token may be hidden (no padding, no special token).
        mask_token: the number of the mask token.
        vocabulary: how many tokens there are.
        rng: draws what is hidden.
        share: probability.

    Returns:
        The tokens as the model reads them ``[n, t]``, and the answers ``[n, t]``: the true token where one is asked
        for, -100 elsewhere.
    """
    asked = torch.from_numpy(rng.random(tokens.shape) < share) & hideable
    fate = torch.from_numpy(rng.random(tokens.shape))
    others = torch.from_numpy(rng.integers(vocabulary, size=tokens.shape))
    hidden = torch.where(asked & (fate < 0.8), torch.full_like(tokens, mask_token), tokens)
    hidden = torch.where(asked & (fate >= 0.8) & (fate < 0.9), others.to(tokens.dtype), hidden)
    return hidden, torch.where(asked, tokens, torch.full_like(tokens, IGNORED))


class TokenHead(nn.Module):
    """States ``[m, d]`` to scores of all tokens ``[m, vocabulary]``, by the encoder's own word embeddings.

    ``E norm(gelu(W h + b)) + c``: the embedding matrix E is that of the encoder, learns with it and is not among the
    head's parameters (Devlin et al. 2019; tied as Press & Wolf 2017 have it).
    """

    def __init__(self, size: int, embeddings: nn.Embedding):
        super().__init__()
        self._tied = (embeddings,)  # a tuple hides it from torch: it belongs to the encoder
        self.transform = nn.Linear(size, embeddings.embedding_dim)
        self.norm = nn.LayerNorm(embeddings.embedding_dim)
        self.bias = nn.Parameter(torch.zeros(embeddings.num_embeddings))

    def forward(self, states: Tensor) -> Tensor:
        return F.linear(self.norm(F.gelu(self.transform(states))), self._tied[0].weight, self.bias)


class MaskedText(Backbone):
    """A text encoder that reads with tokens hidden; its features are the states ``[m, d]`` at the places asked for."""

    kind = "masked_text"

    def __init__(self, backbone: TransformersText, share: float):
        super().__init__()
        self.inner, self.share, self.settings = backbone, share, backbone.settings
        self.spec = replace(backbone.spec, layers={"states": backbone.size()}, default="states")

    def collate(
        self, raw: Sequence[str], *, training: bool = False, rng: np.random.Generator | None = None
    ) -> dict[str, Tensor]:
        if rng is None:
            raise TypeError("what is hidden is drawn: give a generator")
        tokenizer, inputs = self.inner.tokenizer, self.inner.collate(raw)
        tokens = inputs["input_ids"]
        hideable = ~torch.isin(tokens, torch.tensor(tokenizer.all_special_ids))
        network: Any = self.inner.network
        vocabulary = network.config.vocab_size
        hidden, answers = mask_tokens(tokens, hideable, tokenizer.mask_token_id, vocabulary, rng, self.share)
        return {**inputs, "input_ids": hidden, "answers": answers}

    def forward(self, inputs: Mapping[str, Tensor], layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        read = {name: value for name, value in inputs.items() if name != "answers"}
        return {"states": self.inner.run(read)[0][inputs["answers"] != IGNORED]}

    def lengths(self, rows: Rows) -> np.ndarray:
        return self.inner.lengths(rows)

    def blocks(self) -> list[list[nn.Parameter]]:
        return self.inner.blocks()

    def lora_targets(self) -> list[str]:
        return [f"inner.{name}" for name in self.inner.lora_targets()]

    def config(self) -> dict[str, Any]:
        return self.inner.config()


@dataclass(frozen=True)
class MLM(Pretraining):
    """Go on with masked language modelling on the texts of the domains themselves.

    ``L = -1/m sum_{hidden i} log p(x_i | the text with tokens hidden)``; the hidden tokens are drawn anew each time a
    text is read (RoBERTa, Liu et al. 2019), and scored by the encoder's own word embeddings (`TokenHead`).

    Helps when the domains' vocabulary is far from what the encoder was pretrained on (Gururangan et al. 2020, sections
    3 and 4: more so the farther), unlabelled text is plenty, and the encoder is fine-tuned afterwards. Hurts when texts
    are few and steps many (it learns them by heart), and where an encoder was trained for sentence similarity and is
    used frozen: masked words do not care for the mean over tokens, which then drifts. Compare a frozen probe before and
    after.

    Related: SimCLR (other kinds of rows), TSDAE (Wang et al., EMNLP Findings 2021: a text from its damaged copy,
    through the pooled vector).

    Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers, NAACL 2019; Gururangan et al., Don't Stop
    Pretraining: Adapt Language Models to Domains and Tasks, ACL 2020.

    Attributes:
        share: of the tokens that are asked for (BERT: 0.15; search 0.15 to 0.4, Wettig et al., Should You Mask 15 %
            in Masked Language Modeling?, EACL 2023).
    """

    share: float = 0.15

    name: ClassVar[str] = "mlm"
    about: ClassVar[str] = "say which words of a text are hidden (Devlin et al. 2019, Gururangan et al. 2020)"
    reads: ClassVar[tuple[Modality, ...]] = ("text",)
    loss_name: ClassVar[str] = "tokens"
    ranges: ClassVar[Mapping[str, str]] = {"share": "(0, 1)"}

    def encoder(self, backbone: Backbone) -> Backbone:
        """The backbone with words hidden.

        Raises:
            SettingsError: it is no transformers encoder, or its tokenizer knows no mask token.
        """
        if not isinstance(backbone, TransformersText):
            raise SettingsError(
                f"method 'mlm' hides words from a transformers text encoder, and backbone '{backbone.spec.name}' is "
                "none; use minilm, hf:NAME or a folder"
            )
        if backbone.tokenizer.mask_token_id is None:
            raise SettingsError(
                f"the tokenizer of '{backbone.spec.name}' has no mask token; use --method simclr, or an encoder like "
                "minilm"
            )
        return MaskedText(backbone, self.share)

    def head(self, encoder: Backbone, size: int) -> nn.Module:
        """The `TokenHead` on the encoder's word embeddings."""
        assert isinstance(encoder, MaskedText)
        network: Any = encoder.inner.network
        return TokenHead(size, network.get_input_embeddings())

    def loss(self, step: Pass, batch: Batch) -> Tensor:
        """The mean cross-entropy of the hidden tokens; 0 in a batch that hides none."""
        states = step.run(batch).sites["features"].values
        answers = batch.inputs["answers"]
        return F.cross_entropy(step.parts["head"](states), answers[answers != IGNORED], reduction="sum") / max(
            1, len(states)
        )
