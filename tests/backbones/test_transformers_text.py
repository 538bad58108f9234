from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from acclimate.backbones import registry, transformers_text
from acclimate.domains.rows import ListRows
from acclimate.errors import DataError, MissingAssetError, SettingsError

PAIRS = [
    ("The film moved me to tears.", "I cried because the movie was so touching."),
    ("The battery dies within an hour.", "It runs out of power after sixty minutes."),
    ("How do I bake bread at home?", "A recipe for making your own loaf."),
    ("The company's shares fell sharply.", "Its stock price dropped a lot."),
]


def embed(backbone, texts, layer=None):
    with torch.inference_mode():
        return backbone(backbone.collate(texts), None if layer is None else [layer])[layer or backbone.spec.default]


def test_paraphrases_land_together(minilm):
    left, right = (normalize(embed(minilm, list(texts))) for texts in zip(*PAIRS, strict=True))
    cosines = left @ right.T
    assert cosines.argmax(dim=1).tolist() == [0, 1, 2, 3]
    others = cosines[~torch.eye(4, dtype=bool)]
    assert cosines.diagonal().min() > 0.4 > 0.25 > others.max()


def test_features_are_the_mean_of_the_last_hidden_states(minilm):
    inputs = minilm.collate(["a quiet, moving film", "short"])
    with torch.inference_mode():
        hidden = minilm.network(**inputs, output_hidden_states=True).hidden_states
        features = minilm(inputs, ["embeddings", "layer_3", "layer_6"])
    lengths = inputs["attention_mask"].sum(dim=1)
    for layer, states in (("embeddings", hidden[0]), ("layer_3", hidden[3]), ("layer_6", hidden[6])):
        expected = torch.stack([row[:n].mean(dim=0) for row, n in zip(states, lengths, strict=True)])
        torch.testing.assert_close(features[layer], expected, rtol=1e-5, atol=1e-6)


def test_padding_does_not_change_features(minilm):
    alone = embed(minilm, ["good"])
    beside = embed(minilm, ["good", "a much longer text " * 20])[:1]
    torch.testing.assert_close(alone, beside, rtol=1e-4, atol=1e-5)


def test_spec_and_blocks(minilm):
    assert minilm.spec.layers == {"embeddings": 384, **{f"layer_{k}": 384 for k in range(1, 7)}}
    assert (minilm.spec.default, minilm.spec.learning_rate) == ("layer_6", 1e-4)
    assert [sum(p.numel() for p in block) for block in minilm.blocks()] == [11_918_592] + [1_774_464] * 6
    assert not any("pooler" in name for name, _ in minilm.named_parameters())
    kinds = {name.rsplit(".", 1)[1] for name in minilm.lora_targets()}
    assert kinds == {"query", "key", "value", "dense"}
    assert len(minilm.lora_targets()) == 36


def test_any_module_name_is_a_layer(minilm):
    name = "encoder.layer.2.intermediate"
    assert minilm.size(name) == 1536
    assert embed(minilm, ["x"], name).shape == (1, 1536)
    with pytest.raises(SettingsError, match="did you mean 'layer_6'"):
        minilm.check_layer("layer_7")
    with pytest.raises(SettingsError, match=r"encoder\.layer"):
        minilm.check_layer("encoder.layer.99")
    with pytest.raises(SettingsError, match=r"'encoder\.layer' of minilm gives no output.*name one inside it"):
        minilm.size("encoder.layer")


def test_only_what_is_asked_is_computed(minilm):
    ran = []
    handles = [
        layer.register_forward_hook(lambda *_, k=k: ran.append(k))
        for k, layer in enumerate(minilm.network.encoder.layer)
    ]
    embed(minilm, ["x"], "layer_2")
    for handle in handles:
        handle.remove()
    assert ran == [0, 1]


def test_hostile_texts(minilm):
    texts = ["", " \n\t ", "x" * 1_000_000, "word " * 250_000, "\x00\ud83d\ude00\ufffd", "日本語"]
    inputs = minilm.collate(texts)
    assert inputs["input_ids"].shape == (6, 256)
    assert inputs["attention_mask"].sum(dim=1).tolist()[3] == 256
    assert torch.isfinite(embed(minilm, texts)).all()
    rows = ListRows(np.array([*texts, "abc"], dtype=object))
    assert minilm.lengths(rows).tolist() == [0, 4, 1280, 1280, len(texts[4]), 3, 3]
    assert minilm.collate(["short"])["input_ids"].shape == (1, 8)


def test_bfloat16_keeps_directions(minilm):
    texts = [text for pair in PAIRS for text in pair]
    full = embed(minilm, texts)
    with torch.autocast("cpu", torch.bfloat16):
        half = embed(minilm, texts)
    assert half.dtype == torch.float32
    assert cosine_similarity(full, half).min() > 0.9999


def test_round_trip_and_training(round_trip, trains):
    backbone = registry.create("minilm", "text", {"max_length": 64})
    raw = ["first text", "a second, longer text", ""]
    trains(backbone, raw)
    with torch.no_grad():
        for p in backbone.parameters():
            p.sub_(0.01 * p.grad.clamp(-1, 1))
    pretrained = registry.create("minilm", "text", {"max_length": 64}).eval()
    assert pretrained.cache_key() != backbone.cache_key()
    round_trip(backbone, raw)
    assert not torch.equal(embed(backbone, raw), embed(pretrained, raw))


def test_cache_key_depends_on_settings(minilm):
    assert registry.create("minilm", "text").cache_key() == minilm.cache_key()
    assert registry.create("minilm", "text", {"max_length": 128}).cache_key() != minilm.cache_key()


def test_cache_key_depends_on_how_texts_are_cut(folder: Path):
    lower = registry.create(str(folder), "text")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "do_lower_case": False}))
    cased = registry.create(str(folder), "text")
    assert lower.tokenizer("WORD")["input_ids"] != cased.tokenizer("WORD")["input_ids"]
    assert lower.cache_key() != cased.cache_key()


def test_settings_are_checked():
    with pytest.raises(SettingsError, match="max_length"):
        registry.create("minilm", "text", {"max_len": 3})
    with pytest.raises(SettingsError, match="at least 8"):
        registry.create("minilm", "text", {"max_length": 2})


def test_any_length_may_be_read():
    backbone = registry.create("minilm", "text", {"max_length": 21})
    assert backbone.collate(["word " * 50, "a"])["attention_mask"].sum(dim=1).tolist() == [21, 3]


@pytest.fixture
def folder(tmp_path: Path, minilm) -> Path:
    """A small RoBERTa-like encoder made from a config, as a user's own folder."""
    from transformers import DistilBertConfig, DistilBertModel

    config = DistilBertConfig(vocab_size=30522, dim=32, n_layers=2, n_heads=2, hidden_dim=64)
    torch.manual_seed(0)
    DistilBertModel(config).save_pretrained(tmp_path / "model")
    minilm.tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_any_local_folder(folder: Path, round_trip, trains):
    backbone = registry.create(str(folder), "text")
    assert backbone.spec.layers == {"embeddings": 32, "layer_1": 32, "layer_2": 32}
    assert [len(block) for block in backbone.blocks()] == [4, 16, 16]
    assert backbone.spec.learning_rate == 2e-5
    trains(backbone, ["a b c", "d"])
    round_trip(backbone, ["a b c", "d"])


def test_a_folder_that_is_no_model(tmp_path: Path):
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(DataError, match=r"no config\.json .*readme\.txt"):
        registry.create(str(tmp_path), "text")


@pytest.mark.parametrize("damage", ["weights", "config", "type", "pickle", "lacking", "tokenizer"])
def test_a_broken_folder(folder: Path, damage: str):
    weights = folder / "model.safetensors"
    if damage == "weights":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "config":
        (folder / "config.json").write_text("{")
    elif damage == "type":
        (folder / "config.json").write_text(json.dumps({"model_type": "nothing"}))
    elif damage == "pickle":
        weights.unlink()
        torch.save({}, folder / "pytorch_model.bin")
    elif damage == "lacking":
        from safetensors.torch import load_file, save_file

        state = load_file(weights)
        state.pop("transformer.layer.1.ffn.lin1.weight")
        save_file(state, weights, metadata={"format": "pt"})
    else:
        (folder / "tokenizer.json").write_text("[]")
        (folder / "tokenizer_config.json").unlink()
    with pytest.raises(DataError, match=str(folder)):
        registry.create(str(folder), "text")


def add_code(folder: Path, file: str, **entries: object) -> None:
    """Name code in ``own.py``, which leaves a trace when it is run."""
    (folder / "own.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")
    (folder / file).write_text(json.dumps({**json.loads((folder / file).read_text()), **entries}))


def test_code_that_comes_with_a_model_is_neither_run_nor_asked_about(folder: Path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    add_code(folder, "config.json", model_type="odd", auto_map={"AutoConfig": "own.Odd", "AutoModel": "own.Model"})
    with pytest.raises(DataError, match="code of its own, which is never run"):
        registry.create(str(folder), "text")
    assert not (folder / "ran").exists()


def test_a_known_architecture_is_read_without_the_code_beside_it(folder: Path, monkeypatch, round_trip):
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    add_code(folder, "config.json", auto_map={"AutoConfig": "own.Odd", "AutoModel": "own.Model"})
    add_code(folder, "tokenizer_config.json", tokenizer_class="Odd", auto_map={"AutoTokenizer": ["own.Odd", None]})
    round_trip(registry.create(str(folder), "text"), ["a b"])
    assert not (folder / "ran").exists()


def test_hub_names_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with pytest.raises(MissingAssetError, match=r"nobody/nothing.*--backbone path/to/folder") as error:
        registry.create("hf:nobody/nothing", "text")
    assert error.value.exit_code == 4
    with pytest.raises(MissingAssetError, match="not a name of a model"):
        registry.create("hf:a/b/c", "text")


def test_minilm_without_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(transformers_text.packaged, "in_package", lambda *_: None)
    with pytest.raises(MissingAssetError, match="all-MiniLM-L6-v2"):
        registry.create("minilm", "text")
