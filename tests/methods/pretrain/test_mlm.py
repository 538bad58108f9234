from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import acclimate as ac
from acclimate.backbones import registry
from acclimate.domains.batch import Batch
from acclimate.errors import SettingsError
from acclimate.methods import MLM, TokenHead, mask_tokens
from acclimate.methods.pretrain.base import Unasked
from acclimate.training.model import Model

MASK, VOCABULARY = 4, 1000


@pytest.fixture
def masked():
    tokens = torch.arange(200 * 100).reshape(200, 100) % 900 + 5
    hideable = torch.ones_like(tokens, dtype=torch.bool)
    hideable[:, :10] = False
    rng = np.random.default_rng(0)
    return tokens, hideable, *mask_tokens(tokens, hideable, MASK, VOCABULARY, rng, 0.2)


def test_a_share_of_the_tokens_is_asked_for(masked):
    tokens, hideable, _, answers = masked
    asked = answers != -100
    assert not asked[~hideable].any()
    assert torch.equal(answers[asked], tokens[asked])
    assert asked[hideable].float().mean().item() == pytest.approx(0.2, abs=0.01)


def test_of_those_80_percent_are_hidden_10_replaced_and_10_stay(masked):
    tokens, _, read, answers = masked
    asked = answers != -100
    assert torch.equal(read[~asked], tokens[~asked])
    hidden, kept = read[asked] == MASK, read[asked] == tokens[asked]
    assert hidden.float().mean().item() == pytest.approx(0.8, abs=0.02)
    assert kept.float().mean().item() == pytest.approx(0.1, abs=0.02)
    others = read[asked][~hidden & ~kept]
    assert len(others.unique()) > 200
    assert others.max() < VOCABULARY


def test_equal_generators_hide_the_same():
    tokens = torch.arange(60).reshape(3, 20)
    every = torch.ones_like(tokens, dtype=torch.bool)
    draws = [mask_tokens(tokens, every, 4, 60, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert all(torch.equal(a, b) for a, b in zip(draws[0], draws[1], strict=True))
    assert not torch.equal(draws[0][1], draws[2][1])


def test_token_head_scores_by_the_word_embeddings():
    torch.manual_seed(0)
    words = torch.nn.Embedding(11, 6)
    head, states = TokenHead(4, words), torch.randn(3, 4)
    inner = F.gelu(states @ head.transform.weight.T + head.transform.bias)
    inner = (inner - inner.mean(1, keepdim=True)) / torch.sqrt(inner.var(1, keepdim=True, correction=0) + 1e-5)
    torch.testing.assert_close(head(states), inner @ words.weight.T + head.bias)
    assert sum(p.numel() for p in head.parameters()) == 4 * 6 + 6 + 2 * 6 + 11  # no second matrix
    head(states).sum().backward()
    assert words.weight.grad is not None


@pytest.fixture
def taught(tiny_text) -> Callable[..., tuple[MLM, Model, TokenHead]]:
    """The method with a tiny encoder that reads with words hidden, and its head."""

    def make(share: float = 0.3) -> tuple[MLM, Model, TokenHead]:
        method = MLM(share)
        encoder = method.encoder(registry.create(str(tiny_text), "text"))
        model = Model(encoder, Unasked()).eval()
        torch.manual_seed(0)
        return method, model, method.head(encoder, encoder.size())

    return make


class Reads:
    """A `Pass` of one model and head."""

    progress = 0.0

    def __init__(self, model: Model, head: TokenHead):
        self.model, self.parts = model, {"head": head}

    def run(self, batch: Batch, draw: str = ""):
        return self.model(batch)


TEXTS = ["good w1 w2 w3 w4 film", "poor w5 w6 phone", "w7 w8 w9"]


def test_loss_is_the_cross_entropy_of_the_hidden_words(taught):
    method, model, head = taught()
    inputs = model.backbone.collate(TEXTS, training=True, rng=np.random.default_rng(1))
    inner = model.backbone.inner
    special = {inner.tokenizer.cls_token_id, inner.tokenizer.sep_token_id, inner.tokenizer.pad_token_id}
    assert not special & set(inputs["answers"].unique().tolist())
    states = inner.network(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])[0]
    losses = []
    for row, answers in enumerate(inputs["answers"]):
        for place, answer in enumerate(answers.tolist()):
            if answer != -100:
                scores = head(states[row, place])
                losses.append(torch.logsumexp(scores, 0) - scores[answer])
    assert len(losses) > 2
    found = method.loss(Reads(model, head), Batch(inputs))
    torch.testing.assert_close(found, torch.stack(losses).mean())
    found.backward()
    named = dict(inner.network.named_parameters())
    assert min(p.grad.abs().max() for name, p in named.items() if "token_type" not in name) > 0


def test_a_batch_that_hides_nothing_has_loss_0(taught):
    method, model, head = taught(share=1e-9)
    loss = method.loss(Reads(model, head), Batch(model.backbone.collate(TEXTS, rng=np.random.default_rng(0))))
    assert loss.item() == 0
    loss.backward()


def test_masked_words_of_the_target_become_known(tiny_text, tmp_path):
    """Each text of the target speaks of one of ten topics in four words: the others tell the hidden one."""
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{4 * topic + k}" for k in rng.integers(0, 4, 12)) for topic in rng.integers(0, 10, 300)]
    encoder = ac.pretrain(
        target=ac.read(texts, modality="text"),
        backbone=str(tiny_text),
        training={"steps": 150, "batch_size": 32, "learning_rate": 5e-3},
        out=tmp_path / "enc",
    )
    assert encoder.result["method"] == "mlm"
    held = encoder.result["evidence"]["target"]["held_out_loss"]
    assert held["before"] > 3.5  # about log 51
    assert held["after"] < 0.75 * held["before"]  # log 4 is the least


def test_what_hides_no_words_is_refused(tiny_text, monkeypatch):
    with pytest.raises(SettingsError, match="'ngrams' is none; use minilm"):
        MLM().encoder(registry.create("ngrams", "text"))
    backbone = registry.create(str(tiny_text), "text")
    backbone.tokenizer.mask_token = None
    with pytest.raises(SettingsError, match="no mask token; use --method simclr"):
        MLM().encoder(backbone)
    with pytest.raises(SettingsError, match="share must lie in"):
        MLM(1.0)
