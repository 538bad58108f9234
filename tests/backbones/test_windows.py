"""Long texts by windows: where they begin, which one a token is taken from, and what a network says of them."""

from __future__ import annotations

import pytest
import torch

from acclimate.backbones import registry, transformers_text
from acclimate.backbones.windows import windows

READ = ("input_ids", "token_type_ids", "attention_mask")
LONG = " ".join(f"w{k % 40}" for k in range(150))


def told(*rows):
    """Tokens of rows as letters: q around the text, t in the text, . nothing."""
    letters = [list(row) for row in rows]
    marked = [torch.tensor([[letter in kinds for letter in row] for row in letters]) for kinds in ("qt", "t")]
    return marked[0], marked[1]


def test_windows_slide_over_the_text_and_hold_the_question():
    cut = windows(*told("qqtttttttttq"), 9)  # room for 6 of 9, of which 2 overlap
    assert cut.tokens.tolist() == [[0, 1, 2, 3, 4, 5, 6, 7, 11], [0, 1, 5, 6, 7, 8, 9, 10, 11]]
    assert cut.rows.tolist() == [0, 0]
    half = [0.5, 0.5]
    assert cut.share.tolist() == [[*half, 1, 1, 1, 1, 1, 0, 0.5], [*half, 0, 0, 1, 1, 1, 1, 0.5]]


def test_every_token_is_taken_once_and_short_rows_have_one_window():
    read, text = told("qtttq" + "." * 40, "q" + "t" * 43 + "q", "qq" + "." * 43)
    cut = windows(read, text, 12)
    assert cut.rows.tolist() == [0, *[1] * (len(cut.rows) - 2), 2]
    total = torch.zeros(3, 45, 1)
    cut.add(total, torch.ones(*cut.tokens.shape, 1))
    torch.testing.assert_close(total[..., 0], read.float())
    assert cut.there.sum(1).max() == 12
    steps = cut.tokens[cut.rows == 1][:, 1].diff()
    assert steps.max() <= 7, "neighbours share a third of the 10 tokens of text"


def test_windows_may_be_taken_in_parts():
    cut = windows(*told("q" + "t" * 30 + "q"), 10)
    whole, parts = torch.zeros(1, 32, 2), torch.zeros(1, 32, 2)
    values = torch.randn(*cut.tokens.shape, 2, generator=torch.Generator().manual_seed(0))
    cut.add(whole, values)
    start = 0
    for part in cut.parts(2):
        part.add(parts, values[start : start + len(part.rows)])
        start += len(part.rows)
    torch.testing.assert_close(parts, whole)


@pytest.fixture
def backbone(tiny_text):
    made = registry.create(str(tiny_text), "text", {"max_length": 24}).eval()
    made.read_units()
    return made


def test_a_token_is_what_the_network_says_of_it_in_its_window(backbone):
    inputs = backbone.collate([f"w1 w2\n{LONG}"])
    assert inputs["input_ids"].shape == (1, 160)
    found = backbone(inputs)["layer_2"][0]
    cut = windows(inputs["attention_mask"].bool(), inputs["inside"], 24)
    for window in (0, 3, len(cut.rows) - 1):
        own = cut.tokens[window]
        own_inputs = {name: value[:, own] for name, value in inputs.items() if name in READ}
        alone = backbone.network(**own_inputs).last_hidden_state[0]
        taken = cut.share[window] == 1
        assert taken.sum() >= 10
        torch.testing.assert_close(found[own[taken]], alone[taken], rtol=1e-4, atol=1e-5)


def test_short_texts_are_read_as_the_network_reads_them(backbone):
    inputs = backbone.collate(["w1\nw2 w3", "w4 w5\ngood film"])
    plain = {name: value for name, value in inputs.items() if name in READ}
    assert torch.equal(backbone(inputs)["layer_2"], backbone.network(**plain).last_hidden_state)
    beside = backbone(backbone.collate(["w1\nw2 w3", f"w1\n{LONG}"]))["layer_2"]
    torch.testing.assert_close(beside[:1, :6], backbone(inputs)["layer_2"][:1, :6], rtol=1e-4, atol=1e-5)


def test_a_long_question_leaves_room_for_the_text(backbone):
    inputs = backbone.collate([f"{LONG}\nw2 w3"])
    assert inputs["attention_mask"].sum() == 10 + 2 + 3, "of the question 24 / 2 - 2 tokens"
    assert inputs["places"][0, 12:14].tolist() == [[0, 2], [3, 5]]


def test_gradients_of_windows_that_are_computed_again_are_the_same(backbone, monkeypatch):
    def gradients(at_once):
        monkeypatch.setattr(transformers_text, "AT_ONCE", at_once)
        backbone.train()
        backbone.zero_grad()
        torch.manual_seed(0)
        for module in backbone.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        backbone(backbone.collate([f"w1 w2\n{LONG}"]))["layer_2"].square().sum().backward()
        return [p.grad.clone() for p in backbone.parameters() if p.grad is not None]

    for whole, again in zip(gradients(1000), gradients(2), strict=True):
        torch.testing.assert_close(again, whole, rtol=1e-4, atol=1e-4)
