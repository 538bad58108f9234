"""The ten-line program: read, inspect, pretrain, meta_train, adapt, compare, control, report, explain, load, embed."""

from acclimate.api.look import embed, explain, explain_domains, influence, inspect, load, report
from acclimate.api.train import adapt, carry_out, compare, control, meta_train, pretrain, resume
from acclimate.domains.read import read

__all__ = [
    "adapt",
    "carry_out",
    "compare",
    "control",
    "embed",
    "explain",
    "explain_domains",
    "influence",
    "inspect",
    "load",
    "meta_train",
    "pretrain",
    "read",
    "report",
    "resume",
]
