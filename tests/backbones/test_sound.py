"""What all sound backbones share."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from acclimate.backbones import registry
from acclimate.backbones.sound import SoundPreprocess, max_over_time, mean_over_time, usual_seconds
from acclimate.errors import DataError, SettingsError

pytest.importorskip("soxr")
NAMES = [name for name, entry in registry.BACKBONES.items() if "audio" in entry.modalities]


def draw(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def made(request):
    return registry.create(request.param, "audio", seed=1).eval()


def features(backbone, raw):
    with torch.inference_mode():
        return backbone(backbone.collate(raw))[backbone.spec.default]


def test_pooling_leaves_out_what_is_not_the_rows_own():
    values = torch.tensor([[[1.0, -5.0], [3.0, -1.0], [100.0, 100.0]]]).repeat(2, 1, 1)
    positions = torch.tensor([2, 3])
    assert mean_over_time(values, positions)[0].tolist() == [2.0, -3.0]
    assert max_over_time(values, positions).tolist() == [[3.0, -1.0], [100.0, 100.0]]


@pytest.mark.parametrize("made", NAMES, indirect=True)
def test_odd_sounds_have_finite_features_that_do_not_depend_on_the_batch(made, odd_sounds):
    together = features(made, odd_sounds)
    assert torch.isfinite(together).all()
    alone = torch.cat([features(made, [sound]) for sound in odd_sounds])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_round_trip_and_training(name, odd_sounds, round_trip, trains):
    options = {} if name == "spectrum" else {"seconds": 1.3, "augment": "mask", "noise": "pink", "snr": [5, 9]}
    backbone = registry.create(name, "audio", options)
    if backbone.spec.trainable:
        trains(backbone, odd_sounds)
    round_trip(backbone, odd_sounds)


def test_a_clip_is_cut_or_padded_and_brought_to_the_rate(spoken):
    sound, _ = spoken("ai", seconds=0.5)
    preprocess = SoundPreprocess(16_000, 16_000)
    values, lengths = preprocess([(sound, 16_000), (sound, 8000), (sound, 4000)])
    assert lengths.tolist() == [8000, 16_000, 16_000]
    assert torch.equal(values[0, :8000], torch.from_numpy(sound))
    assert not values[0, 8000:].any()
    assert values[2].any()


def test_training_sounds_are_changed_as_asked_and_others_never(spoken):
    sounds = [spoken("ai", seed=k) for k in range(40)]
    own = [len(samples) for samples, _ in sounds]
    plain, noisy = SoundPreprocess(16_000, 16_000), SoundPreprocess(16_000, 16_000, noise="white", snr=(6.0, 6.0))
    clean, _ = plain(sounds)
    assert torch.equal(noisy(sounds)[0], clean), "without training nothing changes"
    assert torch.equal(plain(sounds, training=True, rng=draw())[0], clean)
    changed, _ = noisy(sounds, training=True, rng=draw())
    again, _ = noisy(sounds, training=True, rng=draw())
    assert torch.equal(changed, again)
    ratios = [
        10 * float(((a[:n] ** 2).sum() / ((b - a)[:n] ** 2).sum()).log10())
        for a, b, n in zip(clean, changed, own, strict=True)
        if not torch.equal(a, b)
    ]
    assert 10 <= len(ratios) <= 30, "half of the clips stay clean"
    assert ratios == pytest.approx([6.0] * len(ratios), abs=0.01)
    hidden = SoundPreprocess(16_000, 16_000, augment="mask")(sounds, training=True, rng=draw())[0]
    assert not torch.equal(hidden, clean)
    assert not changed[:, max(own) :].any(), "noise ends with the clip"


def test_seconds_are_found_from_the_source_once(make_domain, spoken):
    domain = make_domain([spoken("ai", seconds=0.4, seed=k) for k in range(39)] + [spoken("ai", seconds=20)], "audio")
    assert usual_seconds(domain) == pytest.approx(0.6)
    for name, seconds in (("logmel_cnn", 0.6), ("whisper_tiny_en", 2.5)):
        backbone = registry.create(name, "audio")
        before = backbone.cache_key()
        backbone.fit(domain)
        assert backbone.settings.seconds == pytest.approx(seconds)
        assert backbone.cache_key() != before
        backbone.fit(make_domain([spoken("ai", seconds=9)], "audio"))
        assert backbone.settings.seconds == pytest.approx(seconds), "what was found or said stays"


@pytest.mark.parametrize(("options", "match"), [
    ({"seconds": 0.0}, "seconds: above 0 and at most 30"),
    ({"seconds": 31.0}, "seconds: above 0 and at most 30, found 31"),
    ({"snr": [9, 3]}, r"snr: the lower ratio first, found \[9"),
    ({"noise": "no/such/place"}, "no folder, zip or sound file 'no/such/place'"),
    ({"augment": "flip"}, "backbone.augment"),
])  # fmt: skip
def test_settings_are_checked_before_anything_is_trained(options, match):
    with pytest.raises(SettingsError, match=match):
        registry.create("logmel_cnn", "audio", options)


def test_a_model_is_read_again_where_its_noise_is_not(tmp_path, spoken, round_trip):
    import soundfile

    soundfile.write(tmp_path / "hum.wav", spoken("uu")[0], 16_000)
    backbone = registry.create("logmel_cnn", "audio", {"seconds": 1.0, "noise": str(tmp_path / "hum.wav")})
    (tmp_path / "hum.wav").unlink()
    round_trip(backbone, [spoken("ai")])


def test_a_folder_of_noise_without_sounds(tmp_path):
    with pytest.raises(DataError, match="no audio files"):
        registry.create("logmel_cnn", "audio", {"noise": str(tmp_path)})
