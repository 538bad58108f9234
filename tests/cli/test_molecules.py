"""Molecules through the command line, on generated ones."""

from __future__ import annotations

import csv
import itertools
import json
import re

import numpy as np
import pytest

from acclimate.domains.molecules import hash_molecules

pytest.importorskip("rdkit")
QUICK = ("--precision", "fp32", "--seed", "0", "--modality", "molecule", "--input", "smiles")
RINGS = ("c1ccccc1", "c1ccncc1", "C1CCCCC1", "c1ccsc1", "c1ccoc1", "C1CCNCC1", "c1ccc2ccccc2c1", "C1CCOC1")


def write(path, chains, flip=False):
    """Rings with a chain and an end; acids and amines are told apart, bromine by half of the rows."""
    ends = (("C(=O)O", 1), ("CO", 0), ("CN", 0), ("C(=O)OC", 1))
    rows = []
    for k, (ring, n, (end, acid)) in enumerate(itertools.product(RINGS, chains, ends)):
        bromine = (k // 3) % 2
        smiles = f"{'BrC' if bromine else 'C'}{'C' * n}({end}){ring}"
        rows.append((smiles, acid ^ flip, "" if k % 3 == 0 else bromine, k % 5))
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["smiles", "acid", "bromine", "site"])
        out.writerows(rows)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("molecules")
    write(folder / "source.csv", (1, 2, 3))
    write(folder / "target.csv", (6, 7))
    write(folder / "poisoned.csv", (6, 7), flip=True)
    return folder


def domains(folder, target="target.csv"):
    return ["--source", folder / "source.csv", "--target", folder / target]


def test_molecules_go_from_adapt_to_a_verdict(acclimate, files, tmp_path):
    run = tmp_path / "run"
    done = acclimate(
        "adapt", *domains(files), *QUICK, "--label", "acid", "--split", "scaffold", "--backbone", "descriptors",
        "--method", "coral", "--set", "training.steps=30", "-o", run, "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert [(arm["name"], arm["backbone"], arm["role"]) for arm in done.json["arms"]][2:] == [
        ("plain", "morgan", "plain"), ("forest", "morgan", "beside"),
    ]  # fmt: skip
    lines, odd = (files / "source.csv").read_text().splitlines(), ["weird,1,,0", "Brc1ccccc1,0,,0"]
    (tmp_path / "mixed.csv").write_text("\n".join([lines[0], *odd, *lines[4:40]]) + "\n")
    done = acclimate("evaluate", run, "--data", f"{tmp_path / 'mixed.csv'}?site!=4", "--label", "acid")
    assert done.code == 3 and "of 30 rows were trained on with their labels (row " in done.err
    told = re.search(r"labels \((.*), \.\.\.\)", done.err)[1].split(", ")
    with np.load(run / "rows.npz") as rows:
        trained = np.isin(hash_molecules([line.split(",")[0] for line in lines[4:40]]), rows["trained"])
    assert told == [f"row {k + 3}" for k in np.flatnonzero(trained) if k % 5 != 1][:3], "rows of the file"
    assert told[0] == "row 3" and told[1] == "row 5"
    done = acclimate("evaluate", run, "--data", files / "target.csv", "--label", "acid", "--json")
    assert done.code == 0, done.err
    assert done.json["metrics"]["roc_auc"] > 0.95 and done.json["metrics"]["pr_auc"] > 0.95
    done = acclimate("predict", run, "--data", files / "target.csv", "-o", tmp_path / "answers.csv")
    assert done.code == 0, done.err
    with (tmp_path / "answers.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 64


def test_labels_of_the_target_in_the_file_do_not_matter(acclimate, files, tmp_path):
    for name in ("target", "poisoned"):
        done = acclimate(
            "adapt", *domains(files, f"{name}.csv"), *QUICK, "--label", "acid", "--backbone", "molecule_graph",
            "--method", "dann", "--set", "backbone.width=16", "--set", "training.steps=12", "--plain-baseline", "no",
            "-o", tmp_path / name, "--quiet",
        )  # fmt: skip
        assert done.code == 0, done.err
    for arm in ("source_only", "dann"):
        files_ = [tmp_path / name / "arms" / arm / "model/weights.safetensors" for name in ("target", "poisoned")]
        assert files_[0].read_bytes() == files_[1].read_bytes()


@pytest.mark.parametrize("backbone", ["morgan", "molecule_graph"])
def test_several_labels_with_blanks(acclimate, files, tmp_path, backbone):
    run, options = tmp_path / "run", []
    if backbone == "molecule_graph":
        options = ["--set", "backbone.width=32", "--set", "training.steps=150"]
    done = acclimate(
        "adapt", *domains(files), *QUICK, "--label", "acid", "--label", "bromine", "--backbone", backbone,
        "--method", "source_only", *options, "-o", run, "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.json["task"] == "multilabel"
    both = ["--label", "acid", "--label", "bromine"]
    done = acclimate("evaluate", run, "--data", files / "target.csv", *both, "--json")
    assert done.code == 0, done.err
    assert done.json["primary"] == "roc_auc"
    assert min(done.json["metrics"][f"roc_auc_{name}"] for name in ("acid", "bromine")) > 0.9
    done = acclimate("predict", run, "--data", files / "target.csv", "-o", tmp_path / "answers.csv")
    assert done.code == 0, done.err
    with (tmp_path / "answers.csv").open() as file:
        first = next(csv.DictReader(file))
    said = [float(first[f"probability_{name}"]) for name in ("acid", "bromine")]
    assert json.loads(first["prediction"]) == [int(p > 0.5) for p in said]


def test_a_few_molecules_of_each_class(acclimate, files, tmp_path):
    rows = list(csv.reader((files / "source.csv").open()))
    chosen = [rows[0], *[row for row in rows[1:] if row[1] == "1"][:8], *[row for row in rows[1:] if row[1] == "0"][:8]]
    with (tmp_path / "support.csv").open("w", newline="") as file:
        csv.writer(file).writerows(chosen)
    done = acclimate(
        "few-shot", "--support", tmp_path / "support.csv", "--modality", "molecule", "--input", "smiles", "--label",
        "acid", "--backbone", "morgan", "--data", files / "target.csv", "-o", tmp_path / "answers.csv",
    )  # fmt: skip
    assert done.code == 0, done.err
    with (tmp_path / "answers.csv").open() as file:
        right = [row["prediction"] == row["acid"] for row in csv.DictReader(file)]
    assert np.mean(right) > 0.8


def test_a_label_that_only_the_target_has(acclimate, files, tmp_path):
    """What the error says to type works, and trains on the target's label."""
    (tmp_path / "new.csv").write_text((files / "target.csv").read_text().replace("acid", "toxic", 1))
    places = ["--source", files / "source.csv", "--target", tmp_path / "new.csv"]
    done = acclimate("adapt", *places, *QUICK, "--label", "toxic", "-o", tmp_path / "run")
    assert done.code == 3 and "no column 'toxic'" in done.err
    assert done.err.rstrip().endswith("say --label acid --target-label toxic")
    said = done.err.rstrip().split("say ")[1].split()
    done = acclimate("adapt", *places, *QUICK, *said, "-o", tmp_path / "run", "--json")
    assert done.code == 0, done.err
    assert done.json["setting"] == "inductive"


@pytest.mark.parametrize(("options", "code", "text"), [
    (["--method", "fixmatch", "--backbone", "molecule_graph"], 2, "molecule rows have none that is sure to mean"),
    (["--method", "dann", "--split", "scaffold", "--group", "site"], 2, "both say what stays together"),
    (["--method", "dann", "--label", "weight"], 3, "weight"),
])  # fmt: skip
def test_what_is_refused(acclimate, files, tmp_path, options, code, text):
    done = acclimate("adapt", *domains(files), *QUICK, "--label", "acid", *options, "-o", tmp_path / "run")
    assert (done.code, text in done.err) == (code, True), done.err
    assert not (tmp_path / "run").exists()


def test_smiles_that_are_read_as_texts_are_told(acclimate, files):
    words = (
        "inspect",
        "--source",
        files / "source.csv",
        "--input",
        "smiles",
        "--label",
        "acid",
        "--backbone",
        "ngrams",
    )
    told = "these texts look like molecules (SMILES), and are read as plain texts: --modality molecule"
    assert told in acclimate(*words).err
    assert told not in acclimate(*words, "--modality", "text").err


def test_what_is_unlike_the_other_domain_is_told_by_its_smiles(acclimate, files):
    done = acclimate("inspect", *domains(files), *QUICK, "--label", "acid", "--json")
    for side, file in (("source_like", "source.csv"), ("target_like", "target.csv")):
        rows = list(csv.DictReader((files / file).open()))
        told = done.json["examples"][side]
        assert told and all(one["text"] == rows[one["row"]]["smiles"] for one in told)
