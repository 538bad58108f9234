"""What text backbones share: what they do to texts first, and their tokenizers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.backbones import pretrained
from acclimate.backbones.base import Backbone
from acclimate.backbones.hashing import weights_key
from acclimate.backbones.parts import Parts, of_words
from acclimate.domains.domain import Rows
from acclimate.errors import DataError
from acclimate.settings import as_dict

CHARACTERS_PER_TOKEN = 20
"""Far above any language's mean: cutting there never removes a token that is kept."""
_READ = 4096
_TOKENIZERS = ("tokenizer*", "vocab*", "merges.txt", "*.model", "*.spm")
"""Files of which a tokenizer has one at least: without any, transformers makes an empty one."""


def readable(texts: Iterable[str], limit: int) -> list[str]:
    """The first ``limit`` characters of each text; halves of surrogate pairs, which no tokenizer takes, are mended."""
    return [_whole(text[:limit]) for text in texts]


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def character_lengths(rows: Rows, cap: int) -> np.ndarray:
    """Characters of each text ``[n]``, at most ``cap``: a length by which batches are bucketed."""
    chunks = (rows.take(np.arange(k, min(k + _READ, len(rows)))) for k in range(0, len(rows), _READ))
    return np.array([min(len(text), cap) for chunk in chunks for text in chunk], dtype=np.int64)


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a transformers folder, which pads with its end-of-text token where it has no other.

    Raises:
        DataError: its files are broken, or there are none.
    """
    from transformers import AutoTokenizer

    if not any(path for pattern in _TOKENIZERS for path in folder.glob(pattern)):
        raise DataError(f"{folder}: no tokenizer is there (tokenizer.json, vocab.txt, *.model, ...)")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # a broken file raises whatever its parser raises
        raise DataError(f"{folder}: cannot load the tokenizer: {pretrained.reason(error)}") from None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def rules(tokenizer: Any) -> Any:
    """Everything that decides how a text is cut: of tokenizers in Python, the vocabulary and the switches."""
    fast = getattr(tokenizer, "backend_tokenizer", None)
    if fast is not None:
        return fast.to_str()
    switches = {name: value for name, value in tokenizer.init_kwargs.items() if isinstance(value, bool)}
    return [type(tokenizer).__name__, switches, sorted(tokenizer.get_vocab().items())]


class WritingBackbone(Backbone):
    """A network of transformers that writes texts: what its kinds share in being adapted, saved and told apart."""

    network: Any
    tokenizer: Any

    def parts(self, raw: Any) -> Parts:
        """Words, each left out of the text."""
        return of_words(raw[0], self.collate)

    def lora_targets(self) -> list[str]:
        return [f"network.{name}" for name in pretrained.linear(self.network)]

    def config(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.spec.name,
            "settings": as_dict(self.settings),
            "learning_rate": self.spec.learning_rate,
            "network": pretrained.config_json(self.network),
            "generation": self.network.generation_config.to_diff_dict(),
        }

    def assets(self, folder: Path) -> None:
        self.tokenizer.save_pretrained(folder / "tokenizer")

    def cache_key(self) -> str:
        return weights_key(self, {**self.config(), "tokenizer": rules(self.tokenizer)})
