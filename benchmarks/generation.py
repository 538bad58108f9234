"""A language model of news taken to a topic that it has not read: bits a byte before and after, on both sides."""

from __future__ import annotations

import json
import lzma
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import acclimate as ac
from acclimate.files import cache_folder
from acclimate.seeds import generator
from benchmarks.common import DATA, RESULTS, SEEDS, say, write

FILE = DATA / "summarization" / "bbc_news_summary_4domains.jsonl.gz"
KNOWN, NEW = ("business", "entertainment", "politics"), "sport"
LEARNED, TESTED = 200, 100
WORDS = 3000
COMMON: dict[str, Any] = {"task": "generate", "input": "text", "device": "cpu", "precision": "fp32"}
TRAINING = {"steps": 300, "batch_size": 8, "learning_rate": 2e-3}
LATER = {"steps": 60, "batch_size": 8, "learning_rate": 1e-3}
CELLS: dict[str, dict[str, str]] = {
    "finetune": {"method": "finetune", "tune": "full"},
    "lora": {"method": "finetune", "tune": "lora"},
    "joint": {"method": "joint", "tune": "full"},
}


def main(seeds: tuple[int, ...] = SEEDS) -> None:
    """Protocol: a GPT-2 of 2 layers, width 128 and 3,000 byte pairs learns BBC news on business, entertainment and
    politics for 300 steps of 8 texts, in pieces of 256 tokens. It then reads 200 texts on sport for 60 steps more,
    after as many on 200 texts of the source (finetune, lora) or beside these (joint); source_only has the source's
    steps alone, and plain is the model as it came. Bits a byte (less is better) on 100 other texts of each side. lzma
    is what the packer needs for these behind the texts that were learned. Nothing was tuned on sport; seeds are those
    of draw and training. What was measured is kept."""
    path = RESULTS / "generation.json"
    runs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
    for seed in seeds:
        for name, asked in CELLS.items():
            if (name, seed) in {(run["cell"], run["seed"]) for run in runs}:
                continue
            found = {"cell": name, "seed": seed, **cell(asked, seed)}
            runs.append(found)
            say(seed, name, found["arms"])
            write("generation", {"protocol": main.__doc__, "runs": runs})


def texts(seed: int) -> dict[str, list[str]]:
    """Texts of both sides that are learned, and that are tested on."""
    told = {}
    for side, topics in (("source", KNOWN), ("target", (NEW,))):
        domain = ac.read(f"{FILE}?{'&'.join(f'domain={name}' for name in topics)}", input="text", modality="text")
        mixed = domain.rows.take(generator(seed, "generation", side).permutation(len(domain)))
        told[f"{side} tested"], told[side] = list(mixed[:TESTED]), list(mixed[TESTED:])
    return told


def base(seed: int, learned: Sequence[str]) -> Path:
    """The folder of a small language model of the known topics, made if it is not there."""
    folder = cache_folder("benchmarks", f"generation_{seed}")
    if not (folder / "result.json").is_file():
        with tempfile.TemporaryDirectory() as place:
            blank(Path(place), learned, seed)
            ac.adapt(
                list(learned), backbone=place, method="source_only", tune="full", training=TRAINING, validation=0.05,
                seed=seed, out=folder, force=True, plain_baseline=False, **{**COMMON, "input": None},
            )  # fmt: skip
    return folder


def blank(folder: Path, learned: Sequence[str], seed: int) -> None:
    """A GPT-2 that has read nothing, with byte pairs of these texts."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    pairs = ByteLevelBPETokenizer()
    pairs.train_from_iterator(learned, vocab_size=WORDS, special_tokens=["<end>"], show_progress=False)
    known = PreTrainedTokenizerFast(tokenizer_object=pairs._tokenizer, eos_token="<end>", model_max_length=512)
    known.save_pretrained(folder)
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=WORDS, n_embd=128, n_layer=2, n_head=4, n_positions=512, bos_token_id=0, eos_token_id=0
    )
    GPT2LMHeadModel(config).save_pretrained(folder)


def cell(asked: dict[str, str], seed: int) -> dict[str, Any]:
    """One way to read on, with source_only and the model as it came beside it."""
    told = texts(seed)
    backbone = base(seed, told["source"])
    with tempfile.TemporaryDirectory() as folder:
        run = ac.adapt(
            told["source"][:LEARNED], told["target"][:LEARNED], backbone=str(backbone), training=LATER, validation=0.1,
            seed=seed, out=Path(folder) / "run", **asked, **{**COMMON, "input": None},
        )  # fmt: skip
        opened = {side: run.evaluate(told[f"{side} tested"]) for side in ("source", "target")}
    arms: dict[str, dict[str, Any]] = {}
    for side, found in opened.items():
        for name, arm in found["arms"].items():
            arms.setdefault(name, {})[side] = {key: float(value) for key, value in arm["metrics"].items()}
    seconds = {row["name"]: row["seconds"] for row in run.result["arms"]}
    return {"decision": run.decision, "seconds": seconds, "arms": arms, "lzma": packed(told)}


def packed(told: dict[str, list[str]]) -> dict[str, float]:
    """Bits a byte of what is tested on each side, behind all that was learned of both."""
    before = "\n".join([*told["source"], *told["target"][:LEARNED]]).encode()
    found = {}
    for side in ("source", "target"):
        more = "\n".join(told[f"{side} tested"]).encode()
        found[side] = 8 * (_size(before + more) - _size(before)) / len(more)
    return found


def _size(data: bytes) -> int:
    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
