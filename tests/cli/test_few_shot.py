from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import acclimate as ac

PIXELS = ("--backbone", "pixels", "--precision", "fp32")
KINDS = ("bars", "disks", "rings")


def picture(kind: str, style: str, seed: int) -> Image.Image:
    """A shape of one of three kinds, dark on light or light on dark, a little off the centre and noisy."""
    rng = np.random.default_rng([seed, KINDS.index(kind) if kind in KINDS else 9])
    y, x = np.mgrid[:24, :24] - 11.5 - rng.normal(0, 0.7, (2, 1, 1))
    far = np.hypot(x, y)
    shape = {"bars": np.abs(x) < 3, "disks": far < 7, "rings": (far > 6) & (far < 10)}
    ink = shape[kind] if kind in shape else (np.abs(x + y) < 3) | (np.abs(x - y) < 3)
    grey = 40 + 150 * ink + rng.normal(0, 12, ink.shape)
    return Image.fromarray(np.clip(grey if style == "light" else 255 - grey, 0, 255).astype(np.uint8))


def folder(place: Path, each: int, style: str, seed: int, kinds: tuple[str, ...] = KINDS, flat: bool = False) -> Path:
    for kind in kinds:
        for k in range(each):
            path = place / f"{kind}_{k}.png" if flat else place / kind / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(kind, style, seed + k).save(path)
    return place


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("shots"), 5, "light", 0)


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("new"), 10, "light", 100, flat=True)


def test_class_folders_to_answers(acclimate, shots, new, tmp_path):
    answers = tmp_path / "answers.csv"
    done = acclimate("few-shot", "--support", shots, "--data", new, *PIXELS, "-o", answers)
    assert (done.code, done.out) == (0, f"{answers}\n")
    found = rows(answers)
    assert list(found[0]) == ["path", "prediction", "confidence", *(f"probability_{kind}" for kind in KINDS)]
    assert [row["path"] for row in found] == sorted(path.name for path in new.iterdir())
    assert np.mean([row["path"].startswith(row["prediction"]) for row in found]) > 0.9
    for row in found:
        assert row["confidence"] == row[f"probability_{row['prediction']}"]
    for said in ("15 rows, 3 classes (bars 5, disks 5, rings 5)", "held-out accuracy: ", "logits divided by"):
        assert said in done.err
    assert "warning" not in done.err


def test_another_style_is_another_task(acclimate, new, tmp_path):
    dark = folder(tmp_path / "dark", 5, "dark", 0)
    other = folder(tmp_path / "other", 10, "dark", 100, flat=True)
    words = ("few-shot", "--support", dark, *PIXELS, "--json")
    own, foreign = (acclimate(*words, "--data", data).json["rows"] for data in (other, new))
    right = [np.mean([row["path"].startswith(row["prediction"]) for row in said]) for said in (own, foreign)]
    assert right[0] > 0.9
    assert right[1] < 0.6


def test_stdout_json_and_python_say_the_same(acclimate, shots, new):
    words = ("few-shot", "--support", shots, "--data", new, *PIXELS)
    text, value = acclimate(*words, "--quiet"), acclimate(*words, "--json").json
    assert text.err == ""
    table = list(csv.DictReader(text.out.splitlines()))
    assert [row["prediction"] for row in table] == [row["prediction"] for row in value["rows"]]
    clf = ac.FewShot("pixels", precision="fp32").fit(str(shots))
    assert np.array_equal(
        clf.predict_proba(str(new))[:, 0], np.float32([row["probability_bars"] for row in value["rows"]])
    )
    assert value["report"] == clf.report_
    assert value["answered"]["rows"] == 30


def test_none_of_these(acclimate, shots, new, tmp_path):
    folder(tmp_path / "mixed", 10, "light", 100, (*KINDS, "crosses"), flat=True)
    answers = tmp_path / "answers.csv"
    words = ("--abstain", 0.1, "-o", answers)
    done = acclimate("few-shot", "--support", shots, "--data", tmp_path / "mixed", *PIXELS, *words)
    assert done.code == 0
    refused = {row["path"]: row for row in rows(answers) if row["prediction"] == "none of these"}
    crosses = [name for name in refused if name.startswith("crosses")]
    assert len(crosses) > 5
    assert len(refused) - len(crosses) <= 6
    assert all(row["confidence"] == "" and float(row["conformal_p"]) <= 0.1 for row in refused.values())
    assert f"answered 40 rows, {len(refused)} of them none of these" in done.err
    assert "at most 0.1 of the rows of known classes" in done.err
    assert "of the rows of a class that is left out were recognised" in done.err


def test_a_table_keeps_its_columns(acclimate, tables, tmp_path):
    support = tmp_path / "support.csv"
    support.write_text("\n".join((tables / "source.csv").read_text().splitlines()[:21]) + "\n")
    named = ("--input", "a", "--input", "b")
    done = acclimate("few-shot", "--support", support, "--data", tables / "test.csv", *named)
    found = list(csv.DictReader(done.out.splitlines()))
    added = ["prediction", "confidence", "probability_no", "probability_yes"]
    assert list(found[0]) == ["a", "b", "c", "label", *added]
    assert [row["label"] for row in found] == [row["label"] for row in rows(tables / "test.csv")]


def test_labels_of_the_rows_to_answer_change_nothing(acclimate, tables, tmp_path):
    poisoned = tmp_path / "test.csv"
    text = (tables / "test.csv").read_text()
    poisoned.write_text(text.replace("yes", "?").replace("no", "yes").replace("?", "no"))
    words = ("--support", tables / "source.csv", "--input", "a", "--input", "b", "--json")
    honest, other = (acclimate("few-shot", *words, "--data", data).json for data in (tables / "test.csv", poisoned))
    assert honest["report"] == other["report"]
    assert [row["probability_no"] for row in honest["rows"]] == [row["probability_no"] for row in other["rows"]]


def test_one_shot_and_rows_of_the_support_are_warned_of(acclimate, tmp_path):
    one = folder(tmp_path / "one", 1, "light", 0)
    done = acclimate("few-shot", "--support", one, "--data", one, *PIXELS)
    assert done.code == 0
    assert "warning: one row a class" in done.err
    assert "warning: 3 rows to answer equal rows of the support" in done.err
    assert [row["prediction"] for row in csv.DictReader(done.out.splitlines())] == list(KINDS)


def test_settings_of_a_level(acclimate, shots, new):
    words = ("few-shot", "--support", shots, "--data", new, *PIXELS, "--level", "probe", "--set", "level.penalty=0.5")
    report = acclimate(*words, "--json").json["report"]
    assert report["level"] == {"name": "probe", "penalty": 0.5}
    assert len(report["candidates"]) == 1


@pytest.fixture
def refused(acclimate, tmp_path):
    """`few-shot` refuses with this code and leaves no answers."""

    def refuse(code: int, support: object, data: object, *words: object) -> str:
        answers = tmp_path / "answers.csv"
        done = acclimate("few-shot", "--support", support, "--data", data, *words, "-o", answers)
        assert (done.code, done.out) == (code, ""), done.err
        assert not answers.exists()
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
        return done.err.splitlines()[-1]

    return refuse


def test_supports_that_cannot_be(refused, shots, new, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no image, text or sound files" in refused(3, tmp_path / "empty", new, *PIXELS)
    assert "lies in no class folder" in refused(3, new, shots, *PIXELS)
    assert "only one class ('bars')" in refused(3, folder(tmp_path / "a", 4, "light", 0, ("bars",)), new, *PIXELS)
    assert "no such file or folder" in refused(3, tmp_path / "nothing", new, *PIXELS)


def test_data_that_do_not_fit(refused, shots, tables, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no image files" in refused(3, shots, tmp_path / "empty", *PIXELS)
    assert "no such file or folder" in refused(3, shots, tmp_path / "nothing", *PIXELS)
    assert "columns found: a, b, c, label" in refused(3, shots, tables / "test.csv", *PIXELS)
    assert "found 15 image files" in refused(3, tables / "source.csv", shots, "--input", "a")


def test_a_broken_image_late_in_the_folder(refused, shots, tmp_path):
    data = folder(tmp_path / "data", 3, "light", 0, flat=True)
    whole = (data / "bars_0.png").read_bytes()
    (data / "z.png").write_bytes(whole[: len(whole) // 2])
    assert "data/z.png: broken or truncated image" in refused(3, shots, data, *PIXELS)


def test_tables_that_do_not_fit(refused, tables, tmp_path):
    source, named = tables / "source.csv", ("--input", "a", "--input", "b")
    unlabelled = tables / "target.csv"
    assert "name the support's labels with --label" in refused(3, unlabelled, source, *named)
    assert "did you mean 'label'" in refused(3, source, unlabelled, *named, "--label", "labels")
    assert "columns found: a, b, c, label" in refused(3, source, unlabelled)
    (tmp_path / "short.csv").write_text("a,c\n1,2\n")
    assert "no column 'b'; columns found: a, c" in refused(3, source, tmp_path / "short.csv", *named)
    (tmp_path / "words.csv").write_text("a,b\n1,x\n")
    assert "holds numbers" in refused(3, source, tmp_path / "words.csv", *named)


def test_numbers_that_are_none(refused, tmp_path):
    x = np.random.default_rng(0).normal(size=(10, 4))
    np.savez(tmp_path / "good.npz", x=x, y=np.arange(10) % 2)
    np.savez(tmp_path / "wide.npz", x=np.hstack([x, x]))
    x[3, 1] = np.nan
    np.savez(tmp_path / "bad.npz", x=x, y=np.arange(10) % 2)
    assert "row 4 holds NaN" in refused(3, tmp_path / "bad.npz", tmp_path / "good.npz")
    assert "row 4 holds NaN" in refused(3, tmp_path / "good.npz", tmp_path / "bad.npz")
    assert "(8,)" in refused(3, tmp_path / "good.npz", tmp_path / "wide.npz")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--abstain", 0.01), "15 rows can be held out and support rates from 0.0625"),
        (("--abstain", 2), "abstain must lie between 0 and 1"),
        (("--level", "prob"), "did you mean 'probe'"),
        (("--set", "level.penalty=1"), "auto has no settings"),
        (("--level", "probe", "--set", "level.penalti=1"), "did you mean 'penalty'"),
        (("--set", "method.rate=1"), "a section of level, backbone"),
        (("--set", "seed=1"), "a section of level, backbone"),
        (("--backbone", "small_cnn"), "starts from scratch"),
        (("--backbone", "minilm"), "does not read image input"),
        (("--balanced", "--unbalanced"), "not allowed with"),
        (("-o", "answers.xlsx"), ".parquet"),
    ],
)
def test_settings_that_cannot_be(acclimate, shots, new, words, said):
    done = acclimate("few-shot", "--support", shots, "--data", new, *PIXELS, *words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err.splitlines()[-1]


def test_the_input_is_never_overwritten(acclimate, tables, tmp_path):
    data = tmp_path / "new.csv"
    data.write_text((tables / "target.csv").read_text())
    done = acclimate("few-shot", "--support", tables / "source.csv", "--data", data, "--input", "a", "-o", data)
    assert done.code == 2
    assert "is the input" in done.err
    assert data.read_text() == (tables / "target.csv").read_text()


def test_rows_that_are_answered_together(acclimate, shots, new, tmp_path):
    answers = tmp_path / "answers.csv"
    words = ("few-shot", "--support", shots, "--data", new, *PIXELS, "--level", "pt_map", "--balanced")
    done = acclimate(*words, "-o", answers)
    assert done.code == 0
    assert np.mean([row["path"].startswith(row["prediction"]) for row in rows(answers)]) > 0.9
    for said in ("an answer depends on the others", "asked together with the rows to answer", "held-out accuracy: "):
        assert said in done.err
    value = acclimate(*words, "--json").json
    assert value["report"]["level"]["balanced"] is True
    assert value["report"]["temperature"] is None
    assert value["answered"]["held_out"]["rows"] == 15
    assert [row["prediction"] for row in value["rows"]] == [row["prediction"] for row in rows(answers)]
