"""Encoder-decoders of Hugging Face transformers, which read a text and write another: Marian, T5, BART, M2M, ..."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from acclimate.backbones import pretrained
from acclimate.backbones.base import Spec
from acclimate.backbones.layers import blocks_by_prefix, pool
from acclimate.backbones.text import CHARACTERS_PER_TOKEN, WritingBackbone, character_lengths, load_tokenizer, readable
from acclimate.backbones.writer import IGNORED, Writer, mean_to_end
from acclimate.domains.domain import Rows
from acclimate.errors import SettingsError
from acclimate.settings import build


@dataclass(frozen=True)
class Settings:
    """How texts are read and written.

    Attributes:
        max_length: tokens that are read of each text, and written at most.
        beams: how many texts are followed at a time while writing; 1 takes the likeliest token each time.
        prefix: put before each text, as T5 was trained with ("translate English to French: ").
        read: code of the language that is read, for models of many (M2M: "en", NLLB: "eng_Latn").
        write: code of the language that is written.
    """

    max_length: int = 128
    beams: int = 1
    prefix: str = ""
    read: str = ""
    write: str = ""

    def __post_init__(self) -> None:
        if self.max_length < 8:
            raise SettingsError(f"backbone.max_length: at least 8 tokens, found {self.max_length}")
        if self.beams < 1:
            raise SettingsError(f"backbone.beams: at least 1, found {self.beams}")


class Seq2Seq(WritingBackbone):
    """The encoder gives features, one vector a text or one a token, and the decoder is the `writer`.

    Layer: ``encoder``, its output; the mean over tokens where a task reads rows. Vaswani et al., NeurIPS 2017.
    """

    kind = "transformers_seq2seq"

    def __init__(self, name: str, network: Any, tokenizer: Any, settings: Settings, learning_rate: float):
        super().__init__()
        self.network, self.tokenizer, self.in_units = network, tokenizer, False
        positions = getattr(network.config, "max_position_embeddings", None) or settings.max_length
        self.settings = replace(settings, max_length=min(settings.max_length, positions, tokenizer.model_max_length))
        for side, code in (("src_lang", settings.read), ("tgt_lang", settings.write)):
            if code:
                _set_language(tokenizer, side, code, name)
        width = network.get_encoder().config.hidden_size
        self.spec = Spec(name, "text", {"encoder": width}, "encoder", pretrained=True, learning_rate=learning_rate)

    def collate(
        self, raw: Sequence[str], *, training: bool = False, rng: np.random.Generator | None = None
    ) -> dict[str, Tensor]:
        texts = readable(raw, self.settings.max_length * CHARACTERS_PER_TOKEN)
        return self.tokens([self.settings.prefix + text for text in texts])

    def tokens(self, texts: Sequence[str], *, written: bool = False) -> dict[str, Tensor]:
        """Ids and mask ``[n, t]`` of texts that are read, or of such that are ``written``."""
        said = {"text_target" if written else "text": list(texts)}
        options = {"max_length": self.settings.max_length, "padding": True, "truncation": True, "return_tensors": "pt"}
        found = self.tokenizer(**said, **options)
        return {"input_ids": found["input_ids"], "attention_mask": found["attention_mask"]}

    def read_units(self) -> None:
        self.in_units = True

    def writer(self) -> Writer:
        return Decoder(self)

    def forward(self, inputs: Any, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        output = self.network.get_encoder()(**inputs).last_hidden_state
        value = output.float() if self.in_units else pool(output, inputs["attention_mask"])
        return {self.check_layer(layer): value for layer in (layers or [self.spec.default])}

    def lengths(self, rows: Rows) -> np.ndarray:
        return character_lengths(rows, 5 * self.settings.max_length)

    def blocks(self) -> list[list[nn.Parameter]]:
        """Embeddings, the encoder's blocks, the decoder's, and with its last one the rest."""
        names = {module: name for name, module in self.network.named_modules(remove_duplicate=False)}
        prefixes = [names[self.network.get_input_embeddings()]]
        for half in (self.network.get_encoder(), self.network.get_decoder()):
            inner, depth = pretrained.stack(half) or ("", 0)
            prefixes += [f"{names[half]}.{inner}.{k}" for k in range(depth)]
        return blocks_by_prefix(self.network, prefixes)


class Decoder(Writer):
    """The decoder of a `Seq2Seq`; its states are what its last layer, the one of the vocabulary, reads."""

    remembers = True

    def __init__(self, backbone: Seq2Seq):
        super().__init__()
        self._of = (backbone,)  # in a tuple: not a part of this module

    def teach(self, values: Tensor, mask: Tensor, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        (backbone,) = self._of
        found = backbone.tokens(texts, written=True)
        ids = found["input_ids"].masked_fill(found["attention_mask"] == 0, IGNORED).to(values.device)
        said = backbone.network(encoder_outputs=_states(values), attention_mask=mask.long(), labels=ids)
        return said.logits.float(), ids

    def write(self, values: Tensor, mask: Tensor) -> tuple[list[str], Tensor]:
        (backbone,) = self._of
        network, settings, tokenizer = backbone.network, backbone.settings, backbone.tokenizer
        options: dict[str, Any] = {"max_new_tokens": settings.max_length, "num_beams": settings.beams}
        if settings.write:
            options["forced_bos_token_id"] = tokenizer.convert_tokens_to_ids(settings.write)
        with before(network.get_output_embeddings()) as seen:
            if (memory := self.datastore) is not None:
                options["logits_processor"] = [lambda _, scores: memory.mixed(seen[0][:, -1], scores)]
            said = network.generate(
                encoder_outputs=_states(values), attention_mask=mask.long(), do_sample=False, max_length=None,
                return_dict_in_generate=True, output_scores=True, **options,
            )  # fmt: skip
        scores = network.compute_transition_scores(
            said.sequences, said.scores, getattr(said, "beam_indices", None), normalize_logits=settings.beams == 1
        )
        written = said.sequences[:, -scores.shape[1] :]
        sure = mean_to_end(scores, written, network.generation_config.eos_token_id)
        return tokenizer.batch_decode(said.sequences, skip_special_tokens=True), sure

    def states(self, values: Tensor, mask: Tensor, texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        (backbone,) = self._of
        with before(backbone.network.get_output_embeddings()) as seen:
            logits, ids = self.teach(values, mask, texts)
        there = ids != IGNORED
        return seen[0][there].float(), logits[there], ids[there]


@contextmanager
def before(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Inside the block the list holds what the layer was given last."""
    seen: list[Tensor] = []

    def keep(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen[:] = given[:1]

    hook = layer.register_forward_pre_hook(keep)
    try:
        yield seen
    finally:
        hook.remove()


def _states(values: Tensor) -> Any:
    from transformers.modeling_outputs import BaseModelOutput

    return BaseModelOutput(last_hidden_state=values)


def _set_language(tokenizer: Any, side: str, code: str, name: str) -> None:
    known = tokenizer.convert_tokens_to_ids(code)
    if not hasattr(tokenizer, side) or known in (None, tokenizer.unk_token_id):
        setting = "read" if side == "src_lang" else "write"
        raise SettingsError(f"backbone.{setting}: '{code}' is no language of the tokenizer of '{name}'")
    setattr(tokenizer, side, code)


def load(source: str, name: str, settings: Settings, learning_rate: float = 5e-5) -> Seq2Seq:
    """Any encoder-decoder of texts from a folder or the hub (``hf:NAME``).

    Raises:
        DataError: config, weights or tokenizer are broken.
        MissingAssetError: not on this machine, and the hub cannot be reached.
    """
    folder = pretrained.transformers_folder(source)
    network = pretrained.load_writer(folder)
    return Seq2Seq(name, network, load_tokenizer(folder), settings, learning_rate)


def restore(config: Mapping[str, Any], folder: Path) -> Seq2Seq:
    """From `Seq2Seq.config` and its tokenizer files; weights are loaded by the caller."""
    network = pretrained.build_writer(config["network"], config["generation"])
    settings = build(Settings, config["settings"], "backbone")
    return Seq2Seq(config["name"], network, load_tokenizer(folder / "tokenizer"), settings, config["learning_rate"])
