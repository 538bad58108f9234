"""Fixtures that every test may use."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("ACCLIMATE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data sets at {folder}; set ACCLIMATE_DATA")
    return folder


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: the garbage collector need not look at it again and again."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def without_reports() -> Iterator[None]:
    """Runs write no report, which would cost the suite minutes; tests of reports ask for them with `reports`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCLIMATE_REPORT", "no")
        yield


@pytest.fixture(scope="module")
def reports() -> Iterator[None]:
    """Runs of this module write their report, as they do for users."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCLIMATE_REPORT", "yes")
        yield


@pytest.fixture(scope="session")
def cache_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that no other session has filled."""
    return tmp_path_factory.mktemp("xdg")


@pytest.fixture
def own_cache(cache_of_tests: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Feature caches stay out of the user's home; no hub."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache_of_tests))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return cache_of_tests


@pytest.fixture(scope="session")
def tiny_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformers text model of two tiny layers, made from a config, with dropout 0.1."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny_text")
    words = [f"w{k}" for k in range(40)] + ["good", "fine", "bad", "poor", "film", "phone"]
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]), "utf-8")
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
        config = BertConfig(vocab_size=len(words) + 5, max_position_embeddings=64, **sizes)
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_seq2seq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformers encoder-decoder of two tiny layers each, made from a config: words a0 ... a19, b0 ... b19."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BartConfig, BartForConditionalGeneration, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny_seq2seq")
    words = ["<pad>", "</s>", "<unk>", *(f"{side}{k}" for side in "ab" for k in range(20))]
    cutter = Tokenizer(models.WordLevel({word: k for k, word in enumerate(words)}, unk_token="<unk>"))
    cutter.pre_tokenizer = pre_tokenizers.Whitespace()
    cutter.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=cutter, model_max_length=64, **names).save_pretrained(folder)
    halves = {"layers": 2, "attention_heads": 2, "ffn_dim": 64}
    sizes = {f"{half}_{name}": size for half in ("encoder", "decoder") for name, size in halves.items()}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1, "decoder_start_token_id": 1}
    rest = {"d_model": 32, "max_position_embeddings": 64, "dropout": 0.0, "init_std": 0.15, "forced_eos_token_id": None}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BartForConditionalGeneration(BartConfig(vocab_size=len(words), **sizes, **ids, **rest)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal language model of two tiny layers, made from a config: words w0 ... w39."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny_lm")
    words = ["<end>", "<unk>", *(f"w{k}" for k in range(40))]
    cutter = Tokenizer(models.WordLevel({word: k for k, word in enumerate(words)}, unk_token="<unk>"))
    cutter.pre_tokenizer = pre_tokenizers.Whitespace()
    names = {"eos_token": "<end>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=cutter, model_max_length=64, **names).save_pretrained(folder)
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
    rest = {"bos_token_id": 0, "eos_token_id": 0, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        GPT2LMHeadModel(GPT2Config(vocab_size=len(words), **sizes, **rest)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def sentences() -> Callable[..., Path]:
    """A file of words to be translated one by one: ``sentences(place, n, low, high, seed, right)``, a5 into b5."""

    def make(place: Path, n: int, low: int, high: int, seed: int, right: bool = True) -> Path:
        rng, lines = np.random.default_rng(seed), []
        for _ in range(n):
            words = rng.integers(low, high, rng.integers(4, 8))
            said = " ".join(f"b{k}" for k in words) if right else "b0"
            lines.append(json.dumps({"en": " ".join(f"a{k}" for k in words), "fr": said}))
        place.write_text("\n".join(lines))
        return place

    return make


Lines = Callable[..., list[str]]


@pytest.fixture(scope="session")
def reviews() -> Lines:
    """Lines of a CSV of texts whose label shows in a word: ``reviews(n, topic, seed, flip)``."""

    def make(n: int = 48, topic: str = "phone", seed: int = 0, flip: bool = False) -> list[str]:
        rng = np.random.default_rng(seed)
        lines = []
        for k in range(n):
            filler = [f"w{int(i)}" for i in rng.integers(0, 40, int(rng.integers(1, 14)))]
            tone = str(rng.choice(["good", "fine"] if k % 2 else ["bad", "poor"]))
            text = " ".join(rng.permutation([*filler, tone, topic]))
            lines.append(f"{text},{'no' if (k % 2 == 1) == flip else 'yes'}")
        return lines

    return make


@pytest.fixture(scope="session")
def points() -> Lines:
    """Lines of a CSV of points: ``x0`` tells the class everywhere, ``x1`` only in the source.

    In the target ``x1`` is 1.75 for both classes, so that a net of the source calls most of them "yes".
    """

    def make(n: int = 60, where: str = "source", seed: int = 0, flip: bool = False) -> list[str]:
        rng = np.random.default_rng([seed, where == "source"])
        sign = np.where(np.arange(n) % 2, 1.0, -1.0)
        x0 = sign + rng.normal(0, 0.4, n)
        x1 = (sign if where == "source" else 1.75) + rng.normal(0, 0.5, n)
        return [f"{a:.6f},{b:.6f},{'no' if (s < 0) != flip else 'yes'}" for a, b, s in zip(x0, x1, sign, strict=True)]

    return make


@pytest.fixture(scope="session")
def write_csv() -> Callable[..., Path]:
    """Write a header and lines."""

    def write(path: Path, header: str, lines: list[str]) -> Path:
        path.write_text("\n".join([header, *lines]) + "\n", "utf-8")
        return path

    return write


FORMANTS = {"a": (750, 1300), "i": (300, 2300), "u": (320, 800)}
Spoken = Callable[..., tuple[np.ndarray, int]]


@pytest.fixture(scope="session")
def spoken() -> Spoken:
    """A "word" of gliding vowels: ``spoken("ai", pitch, tract, seed, seconds, rate)`` gives samples and rate.

    ``pitch`` in Hz and ``tract``, a factor of all formants, are the voice. "ai" and "ia" have the same mean spectrum.
    """

    def make(
        word: str, pitch: float = 120, tract: float = 1.0, seed: int = 0, seconds: float = 0.6, rate: int = 16_000
    ) -> tuple[np.ndarray, int]:
        rng = np.random.default_rng([seed, int(pitch)])
        time = np.arange(int(seconds * rate)) / rate
        at = np.linspace(0, len(word) - 1, len(time))
        first, second = (np.interp(at, range(len(word)), [FORMANTS[v][k] * tract for v in word]) for k in (0, 1))
        pitch = pitch * rng.uniform(0.92, 1.08)
        samples = 0.002 * rng.normal(size=len(time))
        for harmonic in range(1, int(min(rate / 2, 4000) / pitch)):
            hertz = harmonic * pitch
            strength = np.exp(-(((hertz - first) / 130) ** 2)) + 0.6 * np.exp(-(((hertz - second) / 200) ** 2))
            samples += 0.1 * strength * np.sin(2 * np.pi * hertz * time + rng.uniform(0, 2 * np.pi))
        return (samples * rng.uniform(0.5, 1.0)).astype(np.float32), rate

    return make


@pytest.fixture(scope="session")
def write_words(spoken: Spoken) -> Callable[..., Path]:
    """A folder of WAV files ``WORD_SPEAKER_NUMBER.wav``: ``write_words(folder, speakers, words, each)``."""
    soundfile = pytest.importorskip("soundfile")

    def write(
        folder: Path, speakers: dict[str, tuple[float, float]], words: tuple[str, ...] = ("ai", "ia"), each: int = 8
    ) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for speaker, (pitch, tract) in speakers.items():
            for word in words:
                for k in range(each):
                    sound, rate = spoken(word, pitch, tract, seed=k, seconds=0.4 + 0.04 * k)
                    soundfile.write(folder / f"{word}_{speaker}_{k}.wav", sound, rate)
        return folder

    return write


@pytest.fixture(scope="session")
def planted() -> Callable[..., dict[str, Any]]:
    """Hits of users on two domains' items, drawn from one taste of each user: source, warm and cold users' target.

    ``taste`` 0 leaves popularity alone, and tells nothing of a cold user.
    """

    def make(
        users: int = 160, items: int = 40, hits: int = 10, warm: int = 110, taste: float = 2.5, seed: int = 0
    ) -> dict[str, Any]:
        import pandas as pd

        rng = np.random.default_rng(seed)
        tastes, found = rng.normal(size=(users, 3)), {}
        for name in "ab":
            scores = taste * tastes @ rng.normal(size=(items, 3)).T / 3**0.5 + rng.normal(0, 1, items)
            order = np.argsort(-(scores + rng.gumbel(size=scores.shape)), axis=1)[:, :hits]
            pairs = [(f"u{user}", f"{name}{item}") for user in range(users) for item in order[user]]
            found[name] = pd.DataFrame(pairs, columns=["user", "item"])
        known = found["b"]["user"].isin([f"u{user}" for user in range(warm)])
        return {"source": found["a"], "warm": found["b"][known], "cold": found["b"][~known]}

    return make


@pytest.fixture(scope="session")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Whisper of one tiny layer each that spells a, i, u and spaces, made from a config; it hears up to 2 s."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, WhisperConfig, WhisperForConditionalGeneration

    folder = tmp_path_factory.mktemp("tiny_whisper")
    marks = ["<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"]
    letters = [*marks, "\u0120", "a", "i", "u", "!"]
    cutter = Tokenizer(models.BPE({letter: k for k, letter in enumerate(letters)}, []))
    cutter.pre_tokenizer, cutter.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    end = dict.fromkeys(("eos_token", "bos_token", "pad_token", "unk_token"), marks[0])
    PreTrainedTokenizerFast(tokenizer_object=cutter, additional_special_tokens=marks[1:], **end).save_pretrained(folder)
    halves = {"layers": 1, "attention_heads": 2, "ffn_dim": 64}
    sizes = {f"{half}_{name}": size for half in ("encoder", "decoder") for name, size in halves.items()}
    ids = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0, "decoder_start_token_id": 1}
    rest = {"d_model": 32, "num_mel_bins": 40, "max_source_positions": 100, "max_target_positions": 16, "dropout": 0.0}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = WhisperConfig(vocab_size=len(letters), init_std=0.15, **sizes, **ids, **rest)
        network = WhisperForConditionalGeneration(config)
    network.generation_config.suppress_tokens, network.generation_config.begin_suppress_tokens = [7], [3, 0]
    network.save_pretrained(folder)
    return folder


STYLES = {"day": (0.0, 1.0), "haze": (60.0, 0.25)}
"""Brightness added and contrast of each style."""


def _scene(rng: np.random.Generator, style: str = "day", side: int = 32) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """An image ``[side, side]`` with a bright disc on a darker ground, its mask, and its box."""
    radius = rng.uniform(side / 8, side / 4)
    y, x = rng.uniform(radius + 1, side - radius - 1, size=2)
    down, across = np.mgrid[:side, :side]
    mask = (down - y) ** 2 + (across - x) ** 2 <= radius**2
    shift, contrast = STYLES[style]
    pixels = 110 + contrast * np.where(mask, 70.0, -30.0) + shift + rng.normal(0, 6, (side, side))
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
    return np.clip(pixels, 0, 255).astype(np.uint8), mask, box


@pytest.fixture(scope="session")
def scenes() -> Callable[..., Path]:
    """``scenes(folder, n, style)`` writes ``images/``, ``discs/`` (their masks) and ``annotations.json``; poisoned ones
    say the opposite.
    """

    def write(folder: Path, n: int, style: str = "day", seed: int = 0, poison: bool = False, side: int = 32) -> Path:
        rng = np.random.default_rng(seed)
        listed = {}
        for name in ("images", "discs"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for k in range(n):
            image, mask, box = _scene(rng, style, side)
            Image.fromarray(image).save(folder / "images" / f"{k:03}.png")
            shown = ~mask if poison else mask
            Image.fromarray((255 * shown).astype(np.uint8)).save(folder / "discs" / f"{k:03}.png")
            listed[f"{k:03}"] = {"boxes": [["disc", *([0, 0, 3, 3] if poison else box)]], "split": "ab"[k % 2]}
        (folder / "annotations.json").write_text(json.dumps(listed))
        return folder

    return write
