"""The convolutional network on spectrograms, and the plain baseline that hears no order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from acclimate.backbones import registry
from acclimate.errors import SettingsError

pytest.importorskip("soxr")


def words(spoken, count, voice, start=0):
    sounds = [spoken(word, *voice, seed=start + k) for k in range(count) for word in ("ai", "ia")]
    return sounds, np.tile([0, 1], count)


def test_it_learns_the_order_of_vowels_which_the_mean_spectrum_does_not_have(spoken):
    (sounds, labels), (others, theirs) = words(spoken, 16, (120, 1.0)), words(spoken, 10, (190, 1.1), 50)
    plain = registry.create("spectrum", "audio")
    model = LogisticRegression(C=10, max_iter=1000).fit(plain.collate(sounds), labels)
    assert abs(model.score(plain.collate(others), theirs) - 0.5) <= 0.25
    backbone = registry.create("logmel_cnn", "audio", {"seconds": 0.7, "width": 8, "rate": 8000}, seed=0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = torch.nn.Linear(64, 2)
    optimizer = torch.optim.Adam([*backbone.parameters(), *head.parameters()], lr=3e-3)
    inputs, targets = backbone.collate(sounds), torch.from_numpy(labels)
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(head(backbone(inputs)["block_4"]), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    backbone.eval()
    with torch.inference_mode():
        answers = head(backbone(backbone.collate(others))["block_4"]).argmax(1).numpy()
    assert (answers == theirs).mean() >= 0.9


def test_loudness_plays_no_part(spoken):
    backbone = registry.create("logmel_cnn", "audio", {"seconds": 0.7}).eval()
    samples, rate = spoken("ai")
    with torch.inference_mode():
        loud, quiet = backbone(backbone.collate([(samples, rate), (0.05 * samples, rate)]))["block_4"]
    torch.testing.assert_close(loud, quiet, rtol=1e-3, atol=1e-3)


def test_weights_are_a_function_of_the_seed():
    keys = [registry.create("logmel_cnn", "audio", seed=seed).cache_key() for seed in (0, 0, 1)]
    assert keys[0] == keys[1] != keys[2]


def test_the_spectrum_is_mean_and_deviation_of_bands():
    """A tone has its mean in one band; loud and silent halves show in the deviation alone."""
    backbone = registry.create("spectrum", "audio", {"bands": 20})
    time = np.arange(16_000) / 16_000
    tone = np.sin(2 * np.pi * 1000 * time).astype(np.float32)
    steady, halved = backbone.collate([(tone, 16_000), (tone * (time < 0.5), 16_000)]).float()
    band = int(steady[:20].argmax())
    assert steady[20 + band] < 0.05
    assert halved[20 + band] > 0.5
    assert halved[band] < steady[band]


@pytest.mark.parametrize("name", ["logmel_cnn", "spectrum"])
@pytest.mark.parametrize("options", [{"rate": 100}, {"bands": 1}])
def test_settings_are_checked(name, options):
    with pytest.raises(SettingsError, match=r"bands must be at least .* rate 4000 to 48000"):
        registry.create(name, "audio", options)
