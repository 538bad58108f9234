"""Any transformers encoder of text, images or sounds, by what the data are: a folder, or ``hf:NAME`` from the hub."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from acclimate.backbones import (
    image,
    pretrained,
    transformers_audio,
    transformers_causal,
    transformers_detector,
    transformers_image,
    transformers_seq2seq,
    transformers_text,
    whisper_writer,
)
from acclimate.backbones.base import Backbone
from acclimate.backbones.preprocess import Augment, Crop, Square
from acclimate.domains.domain import Modality
from acclimate.settings import build


@dataclass(frozen=True)
class Settings:
    """Those of the text, image or sound encoder; None takes its default."""

    max_length: int | None = None
    beams: int | None = None
    written: int | None = None
    checkpointing: bool | None = None
    prefix: str | None = None
    read: str | None = None
    write: str | None = None
    size: int | None = None
    square: Square | None = None
    crop: Crop | None = None
    augment: Augment | Literal["mask"] | None = None
    seconds: float | None = None
    noise: str | None = None
    snr: tuple[float, float] | None = None


def create(name: str, modality: Modality, settings: Settings, seed: int) -> Backbone:
    """The encoder with its weights (safetensors only, no remote code); of a detector that has no encoder by itself, the
    detector, whose features are its encoder's.

    Raises:
        SettingsError: a setting of another modality.
        DataError: no such folder, or config, weights or tokenizer are broken.
        MissingAssetError: not on this machine, and the hub cannot be reached (``HF_HUB_OFFLINE`` is honoured).
    """
    given = {key: value for key, value in asdict(settings).items() if value is not None}
    if modality == "text" and pretrained.writes(name):
        return transformers_seq2seq.load(name, name, build(transformers_seq2seq.Settings, given, "backbone"))
    if modality == "text":
        return transformers_text.load(name, name, build(transformers_text.Settings, given, "backbone"))
    if modality == "audio":
        return transformers_audio.load(name, name, build(whisper_writer.Settings, given, "backbone"))
    if pretrained.writes(name) and pretrained.detects(name):
        return transformers_detector.load(name, name, build(image.Settings, given, "backbone"))
    return transformers_image.load(name, name, build(image.Settings, given, "backbone"))


def create_writer(name: str, modality: Modality, settings: Settings, seed: int) -> Backbone:
    """As `create`, but a model of texts that is no encoder-decoder is taken as a causal language model, and one of
    images as a detector.
    """
    given = {key: value for key, value in asdict(settings).items() if value is not None}
    if modality == "image":
        return transformers_detector.load(name, name, build(image.Settings, given, "backbone"))
    if modality != "text" or pretrained.writes(name):
        return create(name, modality, settings, seed)
    return transformers_causal.load(name, name, build(transformers_causal.Settings, given, "backbone"))
