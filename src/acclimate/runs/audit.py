"""Auditing a run: what its models tell of the rows that they were trained on."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.domains.domain import Domain, join
from acclimate.domains.labels import canonical_one
from acclimate.errors import DataError, SettingsError
from acclimate.files import path_name, read_json, write_json
from acclimate.methods import registry as methods
from acclimate.methods.base import Tail
from acclimate.runs import result
from acclimate.runs.execute import adapt
from acclimate.runs.predictor import Predictor
from acclimate.runs.reading import read_source
from acclimate.runs.recipe import MEMORY, Recipe, parse, read
from acclimate.runs.report import audit as report
from acclimate.seeds import generator
from acclimate.trust.privacy.attacks import LEAST, RATES, least_epsilon, lira, logit, measured, rmia

FEWEST = 20
"""Members, or others, below which no attack can be judged."""
AUDITED = ("adapted", "reference", "plain")
FILE = "audit.json"

Load = Callable[[str], Predictor]
Plan = tuple[Recipe, Sequence[str]]
"""What is carried out, and the arms of it that are attacked."""


def audit(
    folder: Path,
    members: Sequence[Any],
    others: Sequence[Any],
    load: Load,
    *,
    shadows: int = 0,
    canaries: int = 0,
    seconds: float | None = None,
    source_free: str | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Membership inference through the models of a run, as `acclimate audit --json`; also kept in ``RUN/audit.json``.

    The attack by loss asks the models alone. With shadow models, trained by the run's own recipe on random halves of
    all rows, there are also LiRA and RMIA, which know how hard each row is. Attacks of an earlier audit on the same
    rows are kept beside those of this one.

    Args:
        folder: of a finished run.
        members: labelled rows among which those are looked for that were learned from.
        others: labelled rows like them that no model of the run has seen.
        load: the model of an arm by the arm's name.
        shadows: how many shadow models to train.
        canaries: rows of ``others`` with wrong labels; a random half is planted among the members, the recipe is
            carried out once more, and the attack tries to tell which half it was.
        seconds: for all trainings together, or None.
        source_free: a method that adapts the source's model without source rows, such as shot: an arm of it is trained
            by the run's recipe, without privacy, and attacked beside the others.
        seed: of halves, canaries and trainings.

    Raises:
        DataError: too few rows, rows without labels, or others that were seen.
        SettingsError: a task without classes, or a count below 0.
    """
    for name, count in (("shadows", shadows), ("canaries", canaries)):
        if count < 0:
            raise SettingsError(f"audit: {name} is a number of 0 or more; found {count}")
    value = result.load(folder)
    if value["task"] != "classify":
        raise SettingsError(
            f"audit: members are told by the probability of the right class, and task '{value['task']}' has none"
        )
    recipe = parse(read(folder / "recipe.yaml"), str(folder / "recipe.yaml"))
    inside, outside, notes = _rows(folder, recipe, members, others)
    pool = join([inside, outside])
    known = np.arange(len(pool)) < len(inside)
    arms = [row["name"] for row in value["arms"] if row["role"] in AUDITED]
    sure = {name: _confidence(load(name), pool) for name in arms}
    plans: list[Plan] = [(recipe, arms)]
    if source_free is not None:
        if source_free in sure:
            raise SettingsError(f"audit: '{source_free}' is an arm of the run already; leave --source-free out")
        plans.append((_source_free(recipe, source_free), [source_free]))
        sure |= _carried_out(plans[1], pool)[0]
        notes.append(f"'{source_free}' was trained for this audit, from the source's model on the target alone")
    attacks: dict[str, dict[str, np.ndarray]] = {name: {"loss": logit(p)} for name, p in sure.items()}
    share = None if seconds is None else seconds / max(1, (shadows + (canaries > 0)) * len(plans))
    if shadows:
        seen = _Shadows(plans, seed, share).halves(pool, shadows)
        for name, (p, drawn) in seen.items():
            attacks[name] |= {
                "lira": lira(logit(sure[name]), logit(p), drawn),
                "rmia": rmia(sure[name], p, drawn, ~known),
            }
    planted: dict[str, Any] | None = None
    delta = 0.0 if value["privacy"] is None else value["privacy"]["delta"]
    if canaries:
        planted = _Shadows(plans, seed, share).planted(inside, outside, canaries, delta)
    found: dict[str, Any] = {
        "members": len(inside),
        "others": len(outside),
        "shadows": shadows,
        "claimed": None if value["privacy"] is None else value["privacy"]["spent"].get("source"),
        "arms": {
            name: {
                attack: {**measured(scores, known), "least_epsilon": least_epsilon(*_mixed(scores, known, seed), delta)}
                for attack, scores in attacks[name].items()
            }
            for name in attacks
        },
        "canaries": planted,
        "notes": notes,
    }
    found["data"] = [inside.fingerprint, outside.fingerprint]
    _keep_earlier(folder / FILE, found)
    found["broken"] = _broken(found, arms)
    write_json(folder / FILE, found)
    report.write(folder, found)
    return found


def _keep_earlier(path: Path, found: dict[str, Any]) -> None:
    """Add the attacks of an earlier audit of the same rows that this one did not make again."""
    if not path.is_file():
        return
    earlier = read_json(path)
    if earlier.get("data") != found["data"]:
        found["notes"].append(f"{path.name} of other rows is replaced")
        return
    found["notes"] += [f"'{name}' is from an earlier audit" for name in earlier["arms"] if name not in found["arms"]]
    every = {**earlier["arms"], **found["arms"]}
    found["arms"] = {name: {**earlier["arms"].get(name, {}), **attacks} for name, attacks in every.items()}
    found["shadows"] = found["shadows"] or earlier["shadows"]
    found["canaries"] = found["canaries"] or earlier["canaries"]


def _mixed(scores: np.ndarray, members: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """In random order, so that halves are alike."""
    order = generator(seed, "audit").permutation(len(scores))
    return scores[order], members[order]


def _broken(found: Mapping[str, Any], arms: Sequence[str]) -> bool:
    """Whether an attack on the run's own arms proves more than the ledger claims: then the claim is wrong."""
    if found["claimed"] is None:
        return False
    proofs = [attack["least_epsilon"] for arm in arms for attack in found["arms"][arm].values()]
    planted = (found["canaries"] or {}).get("arms", {})
    proofs += [planted[arm]["least_epsilon"] for arm in arms if arm in planted]
    return max(proofs) > found["claimed"]


def _rows(
    folder: Path, recipe: Recipe, members: Sequence[Any], others: Sequence[Any]
) -> tuple[Domain, Domain, list[str]]:
    """Rows that were learned from, rows that were not seen, and what to know of both."""
    inside, outside = (read_source(recipe, rows, people=False) for rows in (members, others))
    assert inside is not None and outside is not None
    for domain in (inside, outside):
        if domain.labels is None:
            raise DataError(f"{domain.name}: no labels; attacks need the right class of each row")
    with np.load(folder / "rows.npz", allow_pickle=False) as rows:
        if "learned" not in rows.files:
            raise DataError(f"{folder}: an older run, which does not say which rows were learned from; run adapt again")
        learned, seen = np.isin(inside.ids, rows["learned"]), np.isin(outside.ids, rows["seen"])
    notes = []
    if seen.any():
        notes.append(f"{outside.name}: {int(seen.sum())} of {len(outside)} rows were seen by the run and are left out")
    if not learned.all():
        notes.append(
            f"{inside.name}: {int((~learned).sum())} of {len(inside)} rows were not learned from (held out, or never "
            "read) and are left out"
        )
    inside, outside = inside.select(np.flatnonzero(learned)), outside.select(np.flatnonzero(~seen))
    if min(len(inside), len(outside)) < FEWEST:
        raise DataError(
            f"audit: too few rows: {len(inside)} of the members ({inside.name}) were learned from, and {len(outside)} "
            f"of the others ({outside.name}) were never seen; at least {FEWEST} of each are needed, and "
            f"{math.ceil(LEAST / RATES[0])} others for a false-positive rate of {RATES[0]:.0%}"
        )
    return inside, outside, notes


def _confidence(model: Predictor, rows: Domain) -> np.ndarray:
    """The probability of the right class of each row ``[n]``; of a class that the model lacks it is 0."""
    answers = model.answers(rows)
    assert answers.probabilities is not None and rows.labels is not None
    place = {name: k for k, name in enumerate(answers.classes)}
    right = np.array([place.get(label, -1) for label in rows.labels])
    return np.where(right < 0, 0.0, answers.probabilities[np.arange(len(right)), right])


def _source_free(recipe: Recipe, name: str) -> Recipe:
    """The recipe of an arm that adapts the source's model without source rows; it forgets nothing on purpose."""
    if not isinstance(methods.create(name), Tail):
        raise SettingsError(
            f"audit: method '{name}' reads rows of the source while it adapts; shot, tent, adabn do not"
        )
    if MEMORY in (*recipe.source, *recipe.target):
        raise SettingsError(
            "audit: source or target were Python objects, so that no arm can be trained beside; write them to files"
        )
    return replace(recipe, method={"name": name}, privacy={}, plain_baseline=False)


def _carried_out(plan: Plan, asked: Domain, source: Domain | None = None) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Confidence in the rows asked for, by arm, and the ids that were learned from; the source is the recipe's own, or
    another.
    """
    recipe, arms = plan
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "shadow"
        adapt(recipe, folder, source=None if source is None else [source])
        found = {name: _confidence(Predictor.load(folder / "arms" / path_name(name) / "model"), asked) for name in arms}
        with np.load(folder / "rows.npz", allow_pickle=False) as rows:
            return found, rows["learned"]


class _Shadows:
    """Models that are trained as others were, on rows of which it is known whether they were learned from."""

    def __init__(self, plans: Sequence[Plan], seed: int, seconds: float | None):
        if any(MEMORY in recipe.target for recipe, _ in plans):
            raise SettingsError(
                "audit: the target was a Python object, so that no shadow can be trained; write it to a file"
            )
        self.plans, self.seed, self.seconds = plans, seed, seconds

    def halves(self, pool: Domain, count: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """By arm the probabilities of the right class, and which rows each shadow has learned from, ``[count, n]``."""
        kept: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        for number in range(count):
            half = generator(self.seed, "shadow", number).random(len(pool)) < 0.5
            for name, each in self._trained(pool.select(np.flatnonzero(half)), number, pool).items():
                kept.setdefault(name, []).append(each)
        return {name: (np.stack([p for p, _ in each]), np.stack([d for _, d in each])) for name, each in kept.items()}

    def planted(self, inside: Domain, outside: Domain, count: int, delta: float) -> dict[str, Any]:
        """What is told of rows with wrong labels, of which a random half was planted."""
        assert outside.labels is not None and inside.labels is not None
        count = min(count, len(outside))
        rng = generator(self.seed, "canaries")
        rows = outside.select(np.sort(rng.permutation(len(outside))[:count]))
        assert rows.labels is not None
        classes = np.unique(np.concatenate([inside.labels, outside.labels]).astype(str))
        wrong = np.array(
            [canonical_one(rng.choice(classes[classes != str(label)])) for label in rows.labels], dtype=object
        )
        rows = replace(rows, labels=wrong)
        coins = rng.random(count) < 0.5
        pool = join([inside, rows.select(np.flatnonzero(coins))])
        arms, learned = {}, np.zeros(count, dtype=bool)
        for name, (p, there) in self._trained(pool, -1, rows).items():
            keep = there | ~coins  # of those planted, a share was held out
            scores, learned = logit(p)[keep], there
            arms[name] = {
                **measured(scores, there[keep]), "least_epsilon": least_epsilon(scores, there[keep], delta)
            }  # fmt: skip
        return {"planted": int(learned.sum()), "others": int((~coins).sum()), "arms": arms}

    def _trained(self, source: Domain, number: int, asked: Domain) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """By arm the confidence in the rows asked for, and which of these were learned from."""
        found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for recipe, arms in self.plans:
            seed = int(generator(self.seed, "shadow seed", number).integers(2**31))
            alike = replace(recipe, source=(MEMORY,), seed=seed, budget=self.seconds or recipe.budget)
            said, learned = _carried_out((alike, arms), asked, source)
            found |= {name: (p, np.isin(asked.ids, learned)) for name, p in said.items()}
        return found
