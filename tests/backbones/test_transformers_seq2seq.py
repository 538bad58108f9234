"""Encoder-decoders: what of them is trained, adapted, saved, and read as rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from acclimate.backbones import transformers_seq2seq
from acclimate.backbones.registry import create, restore, writes
from acclimate.errors import SettingsError
from acclimate.tasks.translate import Translate
from acclimate.training.model import Model
from acclimate.training.tune import add_lora, merge_lora


@pytest.fixture
def backbone(tiny_seq2seq):
    return create(str(tiny_seq2seq), "text").eval()


def test_a_folder_says_whether_it_writes(tiny_seq2seq, tiny_text):
    assert [writes(str(folder)) for folder in (tiny_seq2seq, tiny_text)] == [True, False]
    assert not writes("minilm")


def test_blocks_hold_every_parameter_once_embeddings_first(backbone):
    blocks = backbone.blocks()
    assert sorted(id(p) for block in blocks for p in block) == sorted(id(p) for p in backbone.parameters())
    shared = backbone.network.get_input_embeddings().weight
    assert any(p is shared for p in blocks[0]) and len(blocks) == 5, "embeddings, encoder, decoder"


def test_adapters_leave_the_last_layer_alone_which_is_the_embeddings(tiny_seq2seq, backbone):
    """Merged adapters of a tied layer would change the embeddings too."""
    targets = backbone.lora_targets()
    assert "network.lm_head" not in targets
    assert {"q_proj", "fc1"} <= {name.rpartition(".")[2] for name in targets}
    model = Model(backbone, Translate()).eval()
    add_lora(model, 4)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_" in name:
                p.copy_(torch.randn(p.shape, generator=rng) * 0.3)
    inputs = backbone.collate(["a1 a2"])
    ids = torch.tensor([[23, 24, 1]])
    before, plain = model.backbone.network(**inputs, labels=ids).logits, create(str(tiny_seq2seq), "text").eval()
    merge_lora(model)
    torch.testing.assert_close(model.backbone.network(**inputs, labels=ids).logits, before, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(plain.network(**inputs, labels=ids).logits, before, atol=1e-2)
    shared = "model.shared.weight"
    assert torch.equal(model.backbone.network.state_dict()[shared], plain.network.state_dict()[shared])


def test_as_rows_its_features_are_the_mean_over_the_encoders_tokens(backbone):
    inputs = backbone.collate(["a1 a2 a3", "a4"])
    states = backbone.network.get_encoder()(**inputs).last_hidden_state
    torch.testing.assert_close(backbone(inputs)["encoder"], torch.stack([states[0].mean(0), states[1, :2].mean(0)]))
    alone = backbone(backbone.collate(["a4"]))["encoder"][0]
    torch.testing.assert_close(backbone(inputs)["encoder"][1], alone)


def test_restored_from_its_files_it_is_the_same(backbone, tmp_path):
    backbone.assets(tmp_path)
    again = restore(json.loads(json.dumps(backbone.config())), tmp_path)
    assert isinstance(again, transformers_seq2seq.Seq2Seq)
    again.load_state_dict(backbone.state_dict())
    assert again.cache_key() == backbone.cache_key()
    inputs = backbone.collate(["a1 a2 a3", "a4"])
    assert (
        again.eval()
        .network.generate(**inputs, max_new_tokens=9)
        .equal(backbone.network.generate(**inputs, max_new_tokens=9))
    )


def test_a_prefix_is_read_before_each_text(tiny_seq2seq):
    backbone = create(str(tiny_seq2seq), "text", {"prefix": "a19 "})
    assert backbone.collate(["a1"])["input_ids"].tolist() == [[22, 4, 1]]


def test_long_texts_are_cut_and_the_length_is_the_networks_at_most(tiny_seq2seq):
    backbone = create(str(tiny_seq2seq), "text", {"max_length": 10_000})
    assert backbone.settings.max_length == 64
    assert backbone.collate([" ".join(["a1"] * 500)])["input_ids"].shape == (1, 64)
    assert backbone.lengths(_Rows(["a1", "a1 a2"])).tolist() == [2, 5]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_length": 3}, "at least 8 tokens"),
        ({"beams": 0}, "beams: at least 1"),
        ({"read": "fr"}, "backbone.read: 'fr' is no language of the tokenizer"),
    ],
)
def test_settings_that_make_no_sense(tiny_seq2seq, settings, message):
    with pytest.raises(SettingsError, match=message):
        create(str(tiny_seq2seq), "text", settings)


def test_languages_are_told_by_their_codes(tmp_path: Path):
    """As M2M and NLLB are told: the code is put before what is read, and forced where writing begins."""
    from tokenizers import AddedToken
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    tokenizer = NllbTokenizer(vocab={"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "▁a": 4}, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": [AddedToken("eng_Latn"), AddedToken("fra_Latn")]})
    tokenizer.save_pretrained(tmp_path)
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 32}
    config = M2M100Config(vocab_size=len(tokenizer), **sizes, **heads, decoder_start_token_id=2)
    M2M100ForConditionalGeneration(config).save_pretrained(tmp_path)
    backbone = create(str(tmp_path), "text", {"read": "eng_Latn", "write": "fra_Latn", "max_length": 8}).eval()
    backbone.read_units()
    code = backbone.tokenizer.convert_tokens_to_ids(["eng_Latn", "fra_Latn"])
    inputs = backbone.collate(["a"])
    assert (
        code[0] in inputs["input_ids"][0].tolist() and code[1] in backbone.tokens(["a"], written=True)["input_ids"][0]
    )
    with torch.no_grad():
        ids = backbone.network.generate(**inputs, forced_bos_token_id=code[1], max_new_tokens=8, do_sample=False)
        texts, _ = backbone.writer().write(backbone(inputs)["encoder"], inputs["attention_mask"].bool())
    assert texts == backbone.tokenizer.batch_decode(ids, skip_special_tokens=True)


class _Rows:
    def __init__(self, texts):
        self.texts = np.array(texts, dtype=object)

    def __len__(self):
        return len(self.texts)

    def take(self, index):
        return list(self.texts[index])
