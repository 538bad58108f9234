"""Methods: how knowledge moves. Classes and plain pieces are imported when they are asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_EXPORTS = {
    "Auto": "ensemble.auto",
    "SourceOnly": "transfer.source_only",
    "TargetOnly": "transfer.target_only",
    "Finetune": "transfer.finetune",
    "Joint": "transfer.joint",
    "KNNMT": "transfer.knn_mt",
    "RandomForest": "transfer.forest",
    "DANN": "adversarial.dann",
    "CDAN": "adversarial.cdan",
    "MCD": "adversarial.mcd",
    "MMD": "discrepancy.mmd",
    "CORAL": "discrepancy.coral",
    "DeepJDOT": "discrepancy.deepjdot",
    "OTMapping": "discrepancy.ot_mapping",
    "AFN": "discrepancy.afn",
    "FDA": "style.fda",
    "exchange_style": "style.fda",
    "MCC": "self_training.mcc",
    "BNM": "self_training.bnm",
    "FixMatch": "self_training.fixmatch",
    "MeanTeacher": "self_training.mean_teacher",
    "SelfTraining": "self_training.self_training",
    "SHOT": "source_free.shot",
    "TENT": "source_free.tent",
    "AdaBN": "source_free.adabn",
    "SiteStandardize": "harmonize.site_standardize",
    "ComBat": "harmonize.combat",
    "combat": "harmonize.combat",
    "MLLS": "label_shift.mlls",
    "BBSE": "label_shift.bbse",
    "ImportanceWeighting": "reweight.importance_weighting",
    "GroupDRO": "generalize.groupdro",
    "SimCLR": "pretrain.simclr",
    "MLM": "pretrain.mlm",
    "MAML": "meta.maml",
    "FOMAML": "meta.fomaml",
    "Reptile": "meta.reptile",
    "ANIL": "meta.anil",
    "MetaSGD": "meta.meta_sgd",
    "MAMLPP": "meta.maml_pp",
    "ProtoNet": "meta.protonet",
    "MatchingNet": "meta.matching_net",
    "RelationNet": "meta.relation_net",
    "R2D2": "meta.r2d2",
    "ProtoMAML": "meta.proto_maml",
    "BaselinePP": "meta.baseline_pp",
    "PMF": "meta.pmf",
    "Prototypes": "few_shot.prototypes",
    "Probe": "few_shot.probe",
    "LinearAdapter": "few_shot.adapter",
    "TIM": "few_shot.tim",
    "PTMAP": "few_shot.pt_map",
    "LaplacianShot": "few_shot.laplacian_shot",
    "domain_loss": "adversarial.pieces",
    "discriminator": "adversarial.pieces",
    "reverse": "adversarial.pieces",
    "ganin_schedule": "adversarial.pieces",
    "multilinear": "adversarial.cdan",
    "random_multilinear": "adversarial.cdan",
    "classifier_discrepancy": "adversarial.mcd",
    "mmd": "discrepancy.mmd",
    "coral_loss": "discrepancy.coral",
    "coral_map": "discrepancy.coral",
    "jdot_coupling": "discrepancy.deepjdot",
    "class_regularised_plan": "discrepancy.ot_mapping",
    "barycentric_map": "discrepancy.ot_mapping",
    "norm_growth": "discrepancy.afn",
    "class_confusion": "self_training.mcc",
    "nuclear_norm": "self_training.bnm",
    "consistency": "self_training.fixmatch",
    "entropy": "source_free.pieces",
    "diversity": "source_free.pieces",
    "mlls": "label_shift.pieces",
    "bbse": "label_shift.pieces",
    "correct": "label_shift.pieces",
    "importance_weights": "reweight.importance_weighting",
    "nt_xent": "pretrain.simclr",
    "mask_tokens": "pretrain.mlm",
    "TokenHead": "pretrain.mlm",
    "group_weights_step": "generalize.groupdro",
    "ridge": "meta.r2d2",
    "prototype_head": "meta.proto_maml",
    "left_out_cosines": "meta.pmf",
}
__all__ = list(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"acclimate.methods.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
