"""What a private training may do, how much noise it needs, and what it has spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from acclimate.backbones.base import Backbone
from acclimate.domains.domain import INTERACTIONS, Domain
from acclimate.errors import SettingsError
from acclimate.methods.base import Method
from acclimate.methods.data import Data
from acclimate.training.private import Noise
from acclimate.training.settings import Training, Tune
from acclimate.training.stage import Loop, Stage
from acclimate.training.tune import norms
from acclimate.trust.privacy.accounting import Spent, epsilon, noise_for
from acclimate.trust.privacy.settings import Privacy

TASKS = ("classify", "multilabel")
NEIGHBOURS = "data sets that differ by one row, which is added or removed"
NOT_COVERED = (
    "names of classes and columns, and the number of rows, are taken for public",
    "result.json, metrics.jsonl, data.json and arms/ tell of held-out and training rows: only model/ is private",
    "a row is protected, and not all rows of a person or group together",
    "the decision, to use the model or not, looked at held-out rows",
    "a backbone that was trained on these rows before tells of them",
)


def check(asked: Privacy, method: Method, data: Data, network: Backbone, tune: Tune, training: Training) -> None:
    """Refuse what cannot be made private, and say what can.

    Raises:
        SettingsError: names what stands in the way.
    """
    task = data.task.name
    if task not in TASKS:
        raise SettingsError(f"privacy: task '{task}' is not supported, as its targets are scaled by labels or its rows "
                            f"meet in the loss; {' and '.join(TASKS)} are")  # fmt: skip
    if any(domain.schema.modality in INTERACTIONS for domain in (data.source, data.target) if domain is not None):
        raise SettingsError("privacy of users and items is not supported: a row is one of many of its user")
    stages = method.stages(data, False)
    if not method.rowwise or not all(isinstance(stage, Loop) for stage in stages):
        raise SettingsError(
            f"privacy: method '{method.name}' is no sum over rows, so that what one row adds cannot be bounded; "
            "source_only, target_only, finetune, joint and dann can be trained so"
        )
    if getattr(method, "form", "reversal") != "reversal":
        raise SettingsError("privacy: dann has to be in the form of one update; leave method.form out")
    if (training.keep or "last") != "last":
        raise SettingsError(
            "privacy: a state that is chosen tells of the rows it is chosen by; leave training.keep out"
        )
    if norms(network) and (tune.batch_norm == "train" or not network.spec.pretrained):
        raise SettingsError(
            f"privacy: backbone '{network.spec.name}' has batch norms that learn, in which rows meet; take one that is "
            "pretrained (its statistics stay), or one without, such as small_cnn, mlp or a transformer"
        )
    if network.spec.sparse:
        raise SettingsError(f"privacy: sparse features as of '{network.spec.name}' are not supported; take minilm")
    if network.learns and (asked.of == "both" or data.target is None):
        raise SettingsError(
            f"privacy: backbone '{network.spec.name}' learns its preprocessing from rows, and no rows may be read "
            "without noise here; give a --target whose inputs are public (privacy.of=source), or take a pretrained one"
        )
    for name, domain in protected(asked, stages).items():
        if asked.delta >= 1 / len(domain):
            raise SettingsError(
                f"privacy.delta {asked.delta:g} is not below one over the {len(domain)} rows of the {name}: to publish "
                f"one row would satisfy it; take at most {0.1 / len(domain):.0e}"
            )
        if training.batch_size > len(domain):
            raise SettingsError(
                f"training.batch_size {training.batch_size} is more than the {len(domain)} rows of the {name}; lower it"
            )


def protected(asked: Privacy, stages: Sequence[Stage]) -> dict[str, Domain]:
    """The domains whose rows are protected, by name."""
    found: dict[str, Domain] = {}
    for name, _, domain in streams_of(stages):
        if name == "source" or asked.of == "both":
            found[name] = domain
    return found


def streams_of(stages: Sequence[Stage]) -> list[tuple[str, int, Domain]]:
    """Whose rows each stream of each stage reads (source or target), the stage's number, and the rows."""
    found = []
    for number, stage in enumerate(stages):
        assert isinstance(stage, Loop)
        for name, domain in stage.streams.items():
            found.append(("target" if name == "target" or stage.name == "target" else "source", number, domain))
    return found


def steps_of(stage: Loop, training: Training) -> int:
    """How many steps the loop plans."""
    rows = len(next(iter(stage.streams.values())))
    return training.steps or max(1, round(training.epochs * max(1, rows // training.batch_size)))


def noise(asked: Privacy, stages: Sequence[Stage], training: Training) -> Noise:
    """The least noise with which all steps of all stages keep the budget, for each protected domain by itself."""
    ways: dict[str, list[tuple[float, int]]] = {}
    for name, number, domain in streams_of(stages):
        stage = stages[number]
        assert isinstance(stage, Loop)
        if name in protected(asked, stages):
            rate = min(1.0, training.batch_size / len(domain))
            ways.setdefault(name, []).append((rate, steps_of(stage, training)))
    if not ways:
        raise SettingsError("privacy: no protected rows are trained on; set privacy.of=both to protect the target's")
    found = noise_for(asked.epsilon, asked.delta, ways.values(), asked.accountant)
    return Noise(asked.clip, found, asked.seeded)


def ledger(asked: Privacy, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the stages of one training have spent, as JSON values: composed for each domain by itself.

    Args:
        asked: the budget.
        records: of the stages, as the trainer gives them.
    """
    entries, spent = [], dict[str, list[Spent]]()
    for record in records:
        private = record["private"]
        for stream, drawn in private["streams"].items():
            of = "target" if stream == "target" or record["stage"] == "target" else "source"
            entries.append({"stage": record["stage"], "of": of, **drawn, "steps": record["steps"]})
            spent.setdefault(of, []).append(Spent(drawn["rate"], private["noise"], record["steps"]))
    free = () if asked.of == "both" else ("target",)
    return {
        "epsilon": asked.epsilon,
        "delta": asked.delta,
        "clip": asked.clip,
        "noise": records[0]["private"]["noise"],
        "accountant": asked.accountant,
        "sampling": "poisson",
        "neighbours": NEIGHBOURS,
        "secret": not asked.seeded,
        "spent": {of: epsilon(each, asked.delta, asked.accountant) for of, each in spent.items() if of not in free},
        "unprotected": [of for of in spent if of in free],
        "stages": entries,
        "not_covered": list(NOT_COVERED),
    }
