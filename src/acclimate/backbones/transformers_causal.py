"""Causal language models of Hugging Face transformers, which go on where a text stops: GPT, Llama, Qwen, ..."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from acclimate.backbones import pretrained
from acclimate.backbones.base import Spec
from acclimate.backbones.layers import blocks_by_prefix
from acclimate.backbones.text import CHARACTERS_PER_TOKEN, WritingBackbone, character_lengths, load_tokenizer, readable
from acclimate.backbones.writer import IGNORED, Writer, mean_to_end, unlikely
from acclimate.domains.domain import Rows
from acclimate.errors import DataError, SettingsError
from acclimate.settings import build


@dataclass(frozen=True)
class Settings:
    """How texts are read and written.

    Attributes:
        max_length: tokens that are read of a prompt, and that a text is learned in at a time: a longer one is cut into
            pieces, each after the same prompt.
        written: tokens that are written at most.
        checkpointing: whether activations are computed anew for the backward pass: a third more time, and a part of
            the memory (Chen et al. 2016).
    """

    max_length: int = 256
    written: int = 64
    checkpointing: bool = False

    def __post_init__(self) -> None:
        if self.max_length < 8 or self.written < 1:
            raise SettingsError("backbone: max_length is at least 8 tokens, and written at least 1")


class Causal(WritingBackbone):
    """A language model whose features are the embeddings of a prompt's tokens; what follows is the `writer`'s.

    Layer: ``embeddings``, after which the whole network comes. Prompts begin with the token that begins a text, or of
    models without one (GPT-2) the one that ends it; they are padded on the left, so that all end at the same place.
    """

    kind = "transformers_causal"

    def __init__(self, name: str, network: Any, tokenizer: Any, settings: Settings, learning_rate: float):
        super().__init__()
        if tokenizer.eos_token_id is None:
            raise DataError(f"backbone '{name}': its tokenizer has no token that ends a text")
        self.network, self.tokenizer = network, tokenizer
        positions = getattr(network.config, "max_position_embeddings", None) or 2 * settings.max_length
        room = positions // 2  # a prompt and a piece of text
        self.settings = replace(
            settings, max_length=min(settings.max_length, room), written=min(settings.written, room)
        )
        if settings.checkpointing:
            network.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        width = network.get_input_embeddings().weight.shape[1]
        self.spec = Spec(name, "text", {"embeddings": width}, "embeddings", True, learning_rate=learning_rate)

    def collate(
        self, raw: Sequence[str], *, training: bool = False, rng: np.random.Generator | None = None
    ) -> dict[str, Tensor]:
        first = self.tokenizer.bos_token_id
        first = self.tokenizer.eos_token_id if first is None else first
        prompts = [[first, *ids[1 - self.settings.max_length :]] for ids in self.ids(readable(raw, sys.maxsize))]
        longest = max(map(len, prompts))
        return {
            "input_ids": torch.tensor([[first] * (longest - len(ids)) + ids for ids in prompts]),
            "attention_mask": torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts]),
        }

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text, without those that begin or end one."""
        return self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"] if texts else []

    def read_units(self) -> None:
        """Nothing changes: what is given is one vector a token."""

    def writer(self) -> Writer:
        return Continuation(self)

    def forward(self, inputs: Any, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        value = self.network.get_input_embeddings()(inputs["input_ids"])
        return {self.check_layer(layer): value for layer in (layers or [self.spec.default])}

    def lengths(self, rows: Rows) -> np.ndarray:
        return character_lengths(rows, CHARACTERS_PER_TOKEN * self.settings.max_length)

    def blocks(self) -> list[list[nn.Parameter]]:
        """Embeddings, blocks, and with the last one the rest."""
        names = {module: name for name, module in self.network.named_modules(remove_duplicate=False)}
        stack, depth = pretrained.stack(self.network) or ("", 0)
        inner = [f"{stack}.{k}" for k in range(depth)]
        return blocks_by_prefix(self.network, [names[self.network.get_input_embeddings()], *inner])


class Continuation(Writer):
    """What a `Causal` model says and writes after prompts."""

    def __init__(self, backbone: Causal):
        super().__init__()
        self._of = (backbone,)  # in a tuple: not a part of this module

    def teach(self, values: Tensor, mask: Tensor, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        ids, owner = self._pieces(texts)
        logits = self._said(values[owner], mask[owner], ids.to(values.device))
        if len(owner) == len(texts):
            return logits, ids.to(values.device)
        return joined(logits, owner, 0.0), joined(ids.to(values.device), owner, IGNORED)

    def nats(self, values: Tensor, mask: Tensor, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Of long texts the pieces go through the network in groups no larger than the batch, and once more for the
        gradients: logits of all of them at once are more than a machine holds.
        """
        ids, owner = self._pieces(texts)
        found = []
        for of, known in zip(
            torch.tensor(owner).split(len(texts)), ids.to(values.device).split(len(texts)), strict=True
        ):
            given = values[of.to(values.device)], mask[of.to(values.device)], known
            again = torch.is_grad_enabled() and len(owner) > len(texts)
            found.append(checkpoint(self._unlikely, *given, use_reentrant=False) if again else self._unlikely(*given))
        nats, tokens = (torch.cat(each) for each in zip(*found, strict=True))
        rows = torch.tensor(owner, device=nats.device)
        return (
            nats.new_zeros(len(texts)).index_add(0, rows, nats),
            tokens.new_zeros(len(texts)).index_add(0, rows, tokens),
        )

    def _pieces(self, texts: Sequence[str]) -> tuple[Tensor, list[int]]:
        """Ids ``[p, t]`` of each piece of the texts, and whose it is."""
        (backbone,) = self._of
        room, end = backbone.settings.max_length, backbone.tokenizer.eos_token_id
        whole = [[*ids, end] for ids in backbone.ids(texts)]
        owner = [row for row, ids in enumerate(whole) for _ in range(0, len(ids), room)]
        pieces = [torch.tensor(ids[k : k + room]) for ids in whole for k in range(0, len(ids), room)]
        return pad_sequence(pieces, batch_first=True, padding_value=IGNORED), owner

    def _unlikely(self, values: Tensor, mask: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        return unlikely(self._said(values, mask, ids), ids)

    def _said(self, values: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        """Logits ``[p, t, vocabulary]`` of the ids after what the mask shows of the values ``[p, ..., d]``."""
        (backbone,) = self._of
        known = (ids != IGNORED).long()
        follows = backbone.network.get_input_embeddings()(ids.clamp(min=0))
        seen = torch.cat([mask.long(), known], 1)
        places = (seen.cumsum(1) - 1).clamp(min=0)
        states = torch.cat([values, follows.to(values.dtype)], 1)
        said = backbone.network(inputs_embeds=states, attention_mask=seen, position_ids=places, use_cache=False)
        return said.logits[:, mask.shape[1] - 1 : -1].float()

    def write(self, values: Tensor, mask: Tensor) -> tuple[list[str], Tensor]:
        (backbone,) = self._of
        network, tokenizer = backbone.network, backbone.tokenizer
        said = network.generate(
            inputs_embeds=values, attention_mask=mask.long(), do_sample=False, max_length=None,
            max_new_tokens=backbone.settings.written, pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id, return_dict_in_generate=True, output_scores=True,
        )  # fmt: skip
        scores = network.compute_transition_scores(said.sequences, said.scores, normalize_logits=True)
        written = said.sequences[:, -scores.shape[1] :]
        return (
            tokenizer.batch_decode(written, skip_special_tokens=True),
            mean_to_end(scores, written, tokenizer.eos_token_id),
        )


def joined(pieces: Tensor, owner: Sequence[int], padding: float) -> Tensor:
    """Pieces ``[p, t, ...]`` of each row one after the other: ``[n, longest, ...]``."""
    count = torch.bincount(torch.tensor(owner))
    rows = [part.flatten(0, 1) for part in pieces.split(count.tolist())]
    return pad_sequence(rows, batch_first=True, padding_value=padding)


def load(source: str, name: str, settings: Settings, learning_rate: float = 2e-5) -> Causal:
    """Any causal language model from a folder or the hub (``hf:NAME``).

    Raises:
        DataError: config, weights or tokenizer are broken.
        MissingAssetError: not on this machine, and the hub cannot be reached.
    """
    folder = pretrained.transformers_folder(source)
    network: Any = pretrained.load_writer(folder)
    with torch.no_grad():
        one, other = (network(input_ids=torch.tensor([[0, last]])).logits[0, 0] for last in (0, 1))
    if not torch.equal(one, other):
        raise DataError(
            f"{folder}: a model of type '{network.config.model_type}' that sees what comes after, as encoders do; "
            "a causal language model is needed"
        )
    return Causal(name, network, load_tokenizer(folder), settings, learning_rate)


def restore(config: Mapping[str, Any], folder: Path) -> Causal:
    """From `Causal.config` and its tokenizer files; weights are loaded by the caller."""
    network = pretrained.build_writer(config["network"], config["generation"])
    settings = build(Settings, config["settings"], "backbone")
    return Causal(config["name"], network, load_tokenizer(folder / "tokenizer"), settings, config["learning_rate"])
