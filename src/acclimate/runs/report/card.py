"""`RUN/model/README.md`: a model card in the hub's format, made from the run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from acclimate.files import writing
from acclimate.runs import result
from acclimate.runs.fairness import lines
from acclimate.runs.report.blocks import arm
from acclimate.runs.report.verdict import sentence_of
from acclimate.runs.report.words import Words, number

NAME = "README.md"
USE = """```python
import acclimate as ac

model = ac.load("model")  # this folder
answers = model.predict(rows)
```"""
HUB = "hf:"
TASKS = {
    ("classify", "text"): "text-classification",
    ("classify", "image"): "image-classification",
    ("classify", "table"): "tabular-classification",
    ("classify", "audio"): "audio-classification",
    ("regress", "table"): "tabular-regression",
    ("answer", "text"): "question-answering",
    ("summarize", "text"): "summarization",
    ("translate", "text"): "translation",
    ("transcribe", "audio"): "automatic-speech-recognition",
    ("segment", "image"): "image-segmentation",
    ("tag", "text"): "token-classification",
    ("generate", "text"): "text-generation",
}
"""What the hub calls a task, by ours and the modality; others have no name there."""


def write_card(folder: Path) -> Path:
    """Write the card of the model that the run deploys, and return its path.

    The header is what the hub reads (library, tags, data sets, metrics, and once the seal was opened the model index);
    the text is for people: what it is, the verdict, what it was trained on, its figures, its limits, how to use it.

    Args:
        folder: of the run.

    Raises:
        DataError: no finished run there.
    """
    value = result.load(folder)
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    path = folder / "model" / NAME
    with writing(path) as part:
        part.write_text(f"---\n{_header(value, recipe)}---\n\n{_body(value)}", encoding="utf-8")
    return path


def _header(value: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    row = arm(value, value["model"])
    assert row is not None
    kind = TASKS.get((value["task"], value["modality"]))
    places = [place for side in ("source", "target") for place in recipe.get(side) or ()]
    on_hub = [place.removeprefix(HUB).split("?")[0].split("@")[0] for place in places if place.startswith(HUB)]
    found = row["target"]
    results = None
    if found is not None:
        results = [
            EvalResult(
                task_type=kind or value["task"],
                dataset_type=found["data"].removeprefix(HUB),
                dataset_name=found["data"],
                metric_type=name,
                metric_value=round(float(amount), 6),
            )
            for name, amount in found["metrics"].items()
        ]
    data = ModelCardData(
        library_name="acclimate",
        pipeline_tag=kind,
        tags=["transfer-learning", "domain-adaptation", value["task"], value["modality"], row["method"]],
        datasets=on_hub or None,
        metrics=[value["primary"]],
        model_name=_title(row) if results else None,
        eval_results=results,
    )
    return data.to_yaml() + "\n"


def _body(value: Mapping[str, Any]) -> str:
    words = Words("en")
    row = arm(value, value["model"])
    assert row is not None
    _, sentence = sentence_of(value, words)
    source, target = (value["data"].get(side) for side in ("source", "target"))
    private = value.get("privacy")
    trained = [
        f"- {side}: {_plain(found['name'])}, {found['rows']:,} rows"
        + ("" if private else f" (content {found['hash']})")
        for side, found in (("source", source), ("target", target))
        if found is not None
    ]
    parts = [
        f"# {_title(row)}",
        f"{_plain(row['name'])}: {row['method']} on {_plain(row['backbone'])} ({row['tune']}), "
        f"{words.maybe('task.' + value['task'], value['task'])} of "
        f"{words.maybe('modality.' + value['modality'], value['modality'])}.",
        f"**{sentence}**",
        "" if private else "\n".join(f"- {_plain(reason)}" for reason in value["reasons"]),
        "## Data",
        "\n".join(trained),
        _labels(value),
        *(("## Privacy", _privacy(private)) if private else ()),
        "## Figures",
        _figures(value, row, words),
        *_people(value),
        "## Limits",
        "\n".join(f"- {limit}" for limit in _limits(value)),
        "## Use",
        USE,
        f"Made by Acclimate {value['acclimate']}, seed {value['seed']}; `recipe.yaml` of the run has every setting.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _title(row: Mapping[str, Any]) -> str:
    """What the model is called: not by its folder, on which no bit of a model depends."""
    return f"{_plain(row['method'])} on {_plain(row['backbone'])}"


def _labels(value: Mapping[str, Any]) -> str:
    """Which labels of the target were used for what."""
    if value["permission"]:
        return f"Labels of the target (column {_plain(value['permission'])}) were used with permission."
    opened = value["seal"]["opened"]
    if "target" not in value["data"]:
        return ""
    if opened:
        return f"Labels of the target played no part in training or choice; they were opened {opened} times since."
    return "Labels of the target played no part in it, and are still sealed."


def _privacy(ledger: Mapping[str, Any]) -> str:
    """What a private training promises, and on what that rests."""
    each = " and ".join(f"epsilon {spent:.3f} for rows of the {of}" for of, spent in ledger["spent"].items())
    said = [
        f"- Differentially private: {each}, at delta {ledger['delta']:g}; {ledger['neighbours']}.",
        f"- Noise {ledger['noise']:.4g} times the clip of {ledger['clip']:g}, {ledger['sampling']} sampling, "
        f"accountant {ledger['accountant']}.",
        *(f"- Rows of the {of} are not protected." for of in ledger["unprotected"]),
        *(f"- Not covered: {sentence}." for sentence in ledger["not_covered"]),
    ]
    if not ledger["secret"]:
        said.append("- **The noise follows from a seed: this model is for tests, and not private.**")
    return "\n".join(said)


def _figures(value: Mapping[str, Any], row: Mapping[str, Any], words: Words) -> str:
    """A table of metrics with their intervals, where there are rows with labels that were not trained on."""
    rows = ["| rows | metric | value | 95 % interval |", "| --- | --- | --- | --- |"]
    told = [
        ("target", "target"),
        ("target, held out", "target_validation"),
        ("source, held out", "source_validation"),
    ]
    for name, key in told[:1] if value.get("privacy") else told:  # held-out rows are private too
        found = row[key] or {"metrics": {}, "intervals": {}}
        rows += [
            f"| {name} | {metric} | {number(amount)} | {words.interval(found['intervals'].get(metric))} |"
            for metric, amount in found["metrics"].items()
        ]
    if len(rows) > 2:
        return "\n".join(rows)
    if value.get("privacy"):
        return "None that could be shown: figures of held-out rows would tell of private rows."
    return "No row with a label was held out."


def _people(value: Mapping[str, Any]) -> tuple[str, ...]:
    """How groups of people are treated, where that may be told."""
    said = lines(value.get("fairness"))
    if not said or value.get("privacy"):
        return ()
    return "## Groups of people", "\n".join(f"- {_plain(line.strip())}" for line in said)


def _limits(value: Mapping[str, Any]) -> list[str]:
    """What a user of the model must not expect."""
    limits = []
    if value["decision"] == "do_not_deploy":
        limits.append("The run decided that no model of it is fit for the target: do not deploy this one.")
    if value["verdict"] is None and "target" in value["data"]:
        limits.append("How good it is on the target has not been measured: no labelled row of it was opened.")
    if value["verdict"] == "hurt":
        limits.append("Adapting made the model worse than the one of the source.")
    limits.append("It knows the domains above; on rows from elsewhere, measure before you rely on it.")
    if value.get("privacy") is None:  # notes tell of rows, as reasons do
        limits += [_plain(note) for note in value["data"].get("notes", ())]
    return limits


def _plain(text: Any) -> str:
    """Text from data, with nothing that Markdown or HTML would take for its own."""
    marks = {"<": "&lt;", ">": "&gt;", "|": "\\|", "`": "\\`", "*": "\\*", "[": "\\[", "\n": " "}
    return "".join(marks.get(letter, letter) for letter in str(text))
