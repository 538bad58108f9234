"""Validators: scores for trained arms that need no target labels. Higher is better, always.

Each is a plain function of predictions and features, for classification (`ensv` takes numbers too); `score`
applies all of them to all arms::

    arms = {"dann": ArmPredictions(target, source, labels), "mcc": ArmPredictions(...)}
    found = score(arms)
    answers = average({name: arm.target_probabilities for name, arm in arms.items()}, found["infomax"])
"""

from acclimate.selection.validators.accuracy import atc, doc
from acclimate.selection.validators.certainty import bnm, infomax, negative_entropy
from acclimate.selection.validators.circular import circular
from acclimate.selection.validators.combine import average, best, combine, stack
from acclimate.selection.validators.consensus import agreement, dawid_skene, ensv
from acclimate.selection.validators.mixed import mixval
from acclimate.selection.validators.predictions import ArmPredictions
from acclimate.selection.validators.registry import VALIDATORS, Validator, score
from acclimate.selection.validators.structure import rankme, snd
from acclimate.selection.validators.transfer import hopkins, transfer_score, uniformity
from acclimate.selection.validators.weighted import dev, importance_weights, iwv

__all__ = [
    "VALIDATORS",
    "ArmPredictions",
    "Validator",
    "agreement",
    "atc",
    "average",
    "best",
    "bnm",
    "circular",
    "combine",
    "dawid_skene",
    "dev",
    "doc",
    "ensv",
    "hopkins",
    "importance_weights",
    "infomax",
    "iwv",
    "mixval",
    "negative_entropy",
    "rankme",
    "score",
    "snd",
    "stack",
    "transfer_score",
    "uniformity",
]
