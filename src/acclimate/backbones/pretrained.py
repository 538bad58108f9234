"""Models of transformers: from a local folder or the Hugging Face hub, only safetensors, no remote code."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from acclimate.errors import DataError, MissingAssetError

_WANTED = ["*.json", "*.txt", "*.model", "*.safetensors"]


def transformers_folder(source: str) -> Path:
    """The folder of a transformers model: a path, or ``hf:NAME`` (a hub name, taken from the local cache if offline).

    Raises:
        DataError: the folder is not there or has no ``config.json``.
        MissingAssetError: the hub name is not in the local cache and the hub cannot be reached.
    """
    if not source.startswith("hf:"):
        folder = Path(source)
    else:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError

        name = source.removeprefix("hf:")
        try:
            folder = Path(snapshot_download(name, allow_patterns=_WANTED, ignore_patterns=["*/*"]))
        except HFValidationError as error:
            raise MissingAssetError(f"'{name}' is not a name of a model on the Hugging Face hub: {error}") from None
        except OSError as error:
            raise MissingAssetError(
                f"model '{name}' is not in the local Hugging Face cache and could not be fetched "
                f"({str(error).splitlines()[0]}); offline, download it elsewhere and pass its folder: "
                "--backbone path/to/folder"
            ) from None
    if not (folder / "config.json").is_file():
        found = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) if folder.is_dir() else "no such folder"
        raise DataError(f"{source}: not a transformers model: no config.json in {folder} (found: {found or 'nothing'})")
    return folder


_ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")
"""Switched off: torch's fused attention has none on a CPU, and the slow path takes half of a step's time."""


def load_network(folder: Path) -> nn.Module:
    """The encoder of a transformers model folder with its weights, without an unused pooler. Only safetensors.

    Raises:
        DataError: config or weights are broken, of an unknown architecture, or do not belong together.
    """
    from transformers import AutoModel

    config = _config(folder)
    if getattr(config, "is_encoder_decoder", False):
        raise DataError(f"{folder}: an encoder-decoder ({config.model_type}); a backbone must be an encoder")
    for name in _ATTENTION_DROPOUT:
        if getattr(config, name, None):
            setattr(config, name, 0.0)
    return with_weights(AutoModel, folder, config=config, **_options(config))


def load_writer(folder: Path) -> nn.Module:
    """An encoder-decoder of texts or a causal language model, with its weights. Only safetensors.

    Raises:
        DataError: as of `load_network`.
    """
    config = _config(folder)
    return with_weights(_writing(config), folder, config=config)


def with_weights(kind: Any, folder: Path, **options: Any) -> Any:
    """A network of this class of transformers with all of its weights, in evaluation mode.

    Raises:
        DataError: weights are broken, or lack some of the network's.
    """
    with quiet(), torch.random.fork_rng(devices=[]):
        try:
            network, info = kind.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, use_safetensors=True,
                dtype=torch.float32, output_loading_info=True, **options,
            )  # fmt: skip
        except Exception as error:  # safetensors, transformers and torch each raise their own kinds here
            raise DataError(
                f"{folder}: cannot load the weights (safetensors): {type(error).__name__}: {reason(error)}"
            ) from None
    missing = sorted(key for key in info["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise DataError(
            f"{folder}: the weights lack {len(missing)} tensors of this architecture, among them {missing[0]}; "
            "they would be random, so this is not the pretrained model it says"
        )
    return network.eval()


def writes(source: str) -> bool:
    """Whether a transformers model, a folder or ``hf:NAME``, is an encoder-decoder.

    Raises:
        DataError: the folder is none, or its config cannot be read.
        MissingAssetError: as of `transformers_folder`.
    """
    folder = transformers_folder(source)
    return bool(getattr(_config(folder), "is_encoder_decoder", False))


def detects(source: str) -> bool:
    """Whether a transformers model, a folder or ``hf:NAME``, is an object detector.

    Raises:
        DataError, MissingAssetError: as of `writes`.
    """
    from transformers import MODEL_FOR_OBJECT_DETECTION_MAPPING

    return type(_config(transformers_folder(source))) in MODEL_FOR_OBJECT_DETECTION_MAPPING


def model_type(folder: Path) -> str:
    """The architecture that a folder's ``config.json`` names.

    Raises:
        DataError: it is not JSON, or names none.
    """
    try:
        return str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}/config.json: no model_type can be read ({reason(error)})") from None


def build_network(config: Mapping[str, Any]) -> nn.Module:
    """The same architecture from a saved config, with random weights."""
    from transformers import AutoConfig, AutoModel

    known = AutoConfig.for_model(**config)
    with torch.random.fork_rng(devices=[]):
        return AutoModel.from_config(known, trust_remote_code=False, **_options(known)).eval()


def build_writer(config: Mapping[str, Any], generation: Mapping[str, Any]) -> nn.Module:
    """The same network as of `load_writer` from its saved config and that of its writing, with random weights."""
    from transformers import AutoConfig, GenerationConfig

    known = AutoConfig.for_model(**config)
    with torch.random.fork_rng(devices=[]):
        network = _writing(known).from_config(known, trust_remote_code=False).eval()
    network.generation_config = GenerationConfig(**generation)
    return network


def _writing(config: Any) -> Any:
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM if getattr(config, "is_encoder_decoder", False) else AutoModelForCausalLM


def linear(network: Any) -> list[str]:
    """Names of the linear maps of a network that writes, for LoRA: all but the last, which may be the embeddings'."""
    from transformers.pytorch_utils import Conv1D

    last = network.get_output_embeddings()
    return [n for n, module in network.named_modules() if isinstance(module, nn.Linear | Conv1D) and module is not last]


def _config(folder: Path) -> Any:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # malformed JSON, unknown model_type, bad values: each raises its own kind
        raise DataError(f"{folder}/config.json: {reason(error)}") from None
    return config


def _options(config: Any) -> dict[str, Any]:
    """What `AutoModel` should leave out or choose, where the architecture knows the option."""
    from transformers import AutoModel

    try:
        kind: Any = AutoModel._model_mapping[type(config)]
    except KeyError:
        raise DataError(f"transformers has no encoder for models of type '{config.model_type}'") from None
    options: dict[str, Any] = {"attn_implementation": "sdpa"} if getattr(kind, "_supports_sdpa", False) else {}
    parameters = inspect.signature(kind).parameters
    if "add_pooling_layer" in parameters:
        options["add_pooling_layer"] = False
    return options


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' load report and progress bars off the screen."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def reason(error: Exception) -> str:
    """Why a model folder could not be loaded, in one line."""
    if "trust_remote_code" in str(error):
        return "it needs Python code of its own, which is never run; take a model whose architecture transformers has"
    return (str(error).strip().splitlines() or ["no message"])[0][:300]


def config_json(network: Any) -> dict[str, Any]:
    """A transformers network's config as plain JSON values."""
    return json.loads(json.dumps(network.config.to_dict(), default=str))


def stack(network: nn.Module) -> tuple[str, int] | None:
    """Dotted name and length of the network's list of blocks: the outermost one that holds most parameters."""
    weights = {
        name: sum(p.numel() for p in module.parameters())
        for name, module in network.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) > 1
    }
    if not weights:
        return None
    name = max(weights, key=lambda key: weights[key])
    return name, len(network.get_submodule(name))  # type: ignore[arg-type]
