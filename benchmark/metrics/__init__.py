"""The metrics: pure functions on arrays, torch or numpy, that return a float, `nan` where the score is undefined.

Importing the package loads the registry alone; a function's module, and with it torch, is loaded on first use. Neither
transformer_lens nor sae_lens is ever imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from benchmark.metrics.registry import METRICS, Metric

if TYPE_CHECKING:
    from benchmark.metrics.agreement import (
        answer_agreement,
        cmd,
        cpr,
        faithfulness,
        kl_divergence,
        logit_difference_r2,
        recovered_task_loss,
    )
    from benchmark.metrics.claims import (
        context_dilution,
        dilution_slope,
        error_compounding,
        firing_rate_spread,
        token_loss_correlation,
    )
    from benchmark.metrics.dictionary import (
        connection_density,
        dead_fraction,
        fvu,
        l0,
        loss_increase,
        loss_recovered,
        split_count,
    )
    from benchmark.metrics.intervention import idle_share, rank_correlation
    from benchmark.metrics.paths import longest_path, path_length
    from benchmark.metrics.size import (
        description_bits,
        edge_count,
        mass_edge_count,
        node_count,
        opaque_weight_count,
        touched_edge_count,
    )
    from benchmark.metrics.task import logit_difference, pair_kl, prompt_kls, prompt_losses, task_loss
    from benchmark.metrics.validity import (
        average_precision,
        band_purity,
        basis_privilege,
        f1_threshold,
        label_replacement_score,
        p_active_given_concept,
        p_concept_given_active,
        top_k_precision,
    )

__all__ = [
    "METRICS",
    "Metric",
    "answer_agreement",
    "average_precision",
    "band_purity",
    "basis_privilege",
    "cmd",
    "connection_density",
    "context_dilution",
    "cpr",
    "dead_fraction",
    "description_bits",
    "dilution_slope",
    "edge_count",
    "error_compounding",
    "f1_threshold",
    "faithfulness",
    "firing_rate_spread",
    "fvu",
    "idle_share",
    "kl_divergence",
    "l0",
    "label_replacement_score",
    "logit_difference",
    "logit_difference_r2",
    "longest_path",
    "loss_increase",
    "loss_recovered",
    "mass_edge_count",
    "node_count",
    "opaque_weight_count",
    "p_active_given_concept",
    "p_concept_given_active",
    "pair_kl",
    "path_length",
    "prompt_kls",
    "prompt_losses",
    "rank_correlation",
    "recovered_task_loss",
    "split_count",
    "task_loss",
    "token_loss_correlation",
    "top_k_precision",
    "touched_edge_count",
]

_HOME = {
    "agreement": (
        "answer_agreement",
        "faithfulness",
        "recovered_task_loss",
        "logit_difference_r2",
        "kl_divergence",
        "cpr",
        "cmd",
    ),
    "claims": (
        "error_compounding",
        "firing_rate_spread",
        "token_loss_correlation",
        "context_dilution",
        "dilution_slope",
    ),
    "paths": ("path_length", "longest_path"),
    "dictionary": (
        "fvu",
        "l0",
        "dead_fraction",
        "loss_increase",
        "loss_recovered",
        "connection_density",
        "split_count",
    ),
    "intervention": ("idle_share", "rank_correlation"),
    "size": (
        "node_count",
        "edge_count",
        "touched_edge_count",
        "mass_edge_count",
        "description_bits",
        "opaque_weight_count",
    ),
    "task": ("task_loss", "pair_kl", "logit_difference", "prompt_losses", "prompt_kls"),
    "validity": (
        "average_precision",
        "band_purity",
        "basis_privilege",
        "f1_threshold",
        "label_replacement_score",
        "p_active_given_concept",
        "p_concept_given_active",
        "top_k_precision",
    ),
}
"""The functions of each file."""


def __getattr__(name: str) -> Any:
    """Load a function's module when the function is first asked for."""
    for home, functions in _HOME.items():
        if name in functions:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
