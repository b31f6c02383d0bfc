"""The metrics as data: the meaning, unit, range, direction, version and source of each number. Imports no torch."""

from dataclasses import dataclass, replace
from math import inf
from typing import Literal, get_args

from benchmark.plugins.registry import Registry

Direction = Literal["lower", "higher", "none"]
"""Which direction is better; `none` if neither is."""

MeasuredBy = Literal["circuit", "profile", "validity", "claims", "splitting"]
"""The kinds of cell that measure something."""

Aggregate = Literal["geometric_mean", "median", "mean"]
"""How values are aggregated over tasks and over seeds.

- Sizes by the geometric mean of max(size, 1).
- Quotients (`QUOTIENTS`) that are unbounded on either side by the median: in a mean, one task whose denominator happens
  to be small would outweigh all others.
- Everything else by the mean: bounded values, and amounts, such as nats and counts, in which every unit counts equally.
"""

QUOTIENTS = ("share", "ratio", "slope")
"""Units of numbers that are a ratio of two quantities."""


@dataclass(frozen=True)
class Metric:
    """One number of the records and of the leaderboard.

    Attributes:
        name: Its name in the records.
        summary: One sentence.
        unit: Unit of its value.
        low: Smallest possible value.
        high: Largest possible value.
        direction: Which direction is better.
        aggregate: How values are aggregated over tasks and seeds.
        source: The paper or tool that the definition comes from.
        function: `module:name` of the pure function of arrays that computes one of our metrics; `None` if it is not
            computed from arrays.
        score: `module:function` of another distribution's metric of circuits, called with the
            `benchmark.scoring.case.DiscoveredCircuit` of every circuit; returns a float, `nan` if undefined.
        version: Raised by hand whenever a definition or an implementation changes a value.
        cell: The kind of cell that measures it, under which it is registered.
    """

    name: str
    summary: str
    unit: str
    low: float
    high: float
    direction: Direction
    aggregate: Aggregate
    source: str
    function: str | None = None
    version: int = 1
    cell: MeasuredBy | None = None
    score: str | None = None

    def __post_init__(self) -> None:
        if self.unit in QUOTIENTS and self.aggregate == "mean" and _unbounded(self.low, self.high):
            raise ValueError(
                f"{self.name}: a {self.unit} from {self.low} to {self.high} is unbounded, so its aggregate is the "
                f"median, not the {self.aggregate}"
            )

    def within(self, limit: float) -> float:
        """A limit of an interval, clipped to the range of the metric; `nan` stays."""
        return min(max(limit, self.low), self.high)


def _unbounded(low: float, high: float) -> bool:
    return inf in (-low, high)


_GAO = "Gao et al. 2025 (arXiv 2511.13653)"
_MARKS = "Marks et al. 2024 (arXiv 2403.19647)"
_MIB = "Mueller et al. 2025, MIB (arXiv 2504.13151), on log sizes"
_WANG = "Wang et al. 2022 (arXiv 2211.00593), of single nodes"
_GEIGER = "after Geiger et al. 2021 (arXiv 2106.02997)"
_AMEISEN = "after Ameisen et al. 2025, https://transformer-circuits.pub/2025/attribution-graphs/methods.html"
_SAEBENCH = "SAEBench core (arXiv 2503.09532)"
_CHANIN = "after Chanin et al. 2024 (arXiv 2409.14507), with unions of features for probes"
_OURS = "this benchmark"

_PAULO = "after Paulo and Belrose 2025 (arXiv 2501.18838), with exact labels"
_HUANG = "Huang et al. 2023 (arXiv 2309.10312)"
_OIKARINEN = "Oikarinen et al. 2025 (arXiv 2506.05774)"
_ELHAGE = "Elhage et al. 2023, https://transformer-circuits.pub/2023/privileged-basis"

_KINDS = ("query", "key", "value", "neuron", "feature", "residual_read", "residual_write")
"""Kinds of node that may have a meaning: `benchmark.model.interface.Kind`, which imports torch, without errors."""

SHIFTED: dict[str, str] = {
    "dilution": "with other lines before them",
    "distractors": "with comments that open brackets and quotes before them",
    "long_names": "with longer names",
    "nesting": "inside a function or a method",
    "elements": "with longer lists",
}
"""How prompts are changed, by name in the records; `benchmark.tasks.shifts.SHIFTS` implements it."""

CONTROLS: dict[str, tuple[str, str, Direction]] = {
    "label_replacement_score": ("label", "Labels of the concept instead of its node: 1 as good as the node.",
                                "higher"),
    "shifted_label_score": ("shifted", "The same with labels shifted to other text, on both splits: 0 is no meaning.",
                            "none"),
    "sibling_label_score": ("sibling", "The same with labels of a concept easily confused with it.", "none"),
    "token_label_score": ("token", "The same with the best label that the current token alone decides.", "none"),
    "quantised_score": ("quantised", "The same with the node's own value quantised to as many levels.", "none"),
    "false_alarms_corrected": ("false_alarms", "The node, corrected where it fires without the concept.", "none"),
    "misses_corrected": ("misses", "The node, corrected where the concept holds and it does not fire.", "none"),
    "middle_corrected": ("middle", "The node, corrected where its activation is in the middle band.", "none"),
}  # fmt: skip
"""What can replace a node's activations, by metric: a short name, a summary, which direction is better."""

CHOICES: dict[str, tuple[str, str, Direction]] = {
    "by_score_label_score": ("by_score", "Labels instead of the node that they seem to replace best.", "higher"),
    "channel_label_score": ("by_channel", "Labels instead of the residual channel that detects it best and matters.",
                            "none"),
    "joint_1_label_score": ("jointly_1", "Labels instead of the best detector, whether or not it matters.", "none"),
    "joint_2_label_score": ("jointly_2", "Labels instead of the two best detectors at once.", "none"),
    "joint_4_label_score": ("jointly_4", "Labels instead of the four best detectors at once.", "none"),
    "joint_8_label_score": ("jointly_8", "Labels instead of the eight best detectors at once.", "none"),
    "direction_label_score": ("direction", "Labels instead of the stream's difference-of-means direction.", "none"),
    "leace_label_score": ("leace", "Labels instead of the stream's LEACE direction.", "none"),
    "probe_label_score": ("probe", "Labels instead of the direction of a logistic probe.", "none"),
    "random_direction_label_score": ("random", "Labels instead of a random direction of similar variance.", "none"),
}  # fmt: skip
"""What labels replace besides the best detector that matters, by metric: how it is chosen, a summary, a direction."""

POOLED: dict[str, tuple[str, str]] = {
    "by_precision": ("", ""),
    "by_score": ("by_score_", ", chosen by score"),
    "jointly_4": ("joint_", " for four nodes"),
    "direction": ("direction_", " for a direction"),
}
"""Of what scores are pooled over the concepts, by how it is chosen: how it is named in a metric, and in its summary."""

SPLITS: dict[str, tuple[str, Direction]] = {
    "concept_splits": ("Number of features that a concept is divided among.", "lower"),
    "feature_splits": ("Number of features of a larger dictionary that one of a smaller is divided among.", "lower"),
    "feature_splits_back": ("Number of features of the smaller one that one of the larger is divided among.", "none"),
    "feature_splits_null": (
        "The same as feature_splits with each feature of the larger shifted to other text.",
        "none",
    ),
}
"""What is divided among the features of a dictionary, by metric: a summary, which direction is better."""

_SIZE = "benchmark.metrics.size"
_TASK = "benchmark.metrics.task"
_AGREEMENT = "benchmark.metrics.agreement"
_CLAIMS = "benchmark.metrics.claims"
_DEPTH = "benchmark.metrics.path_lengths"
_INTERVENTION = "benchmark.metrics.intervention"
_DICT = "benchmark.metrics.dictionary"
_VALIDITY = "benchmark.metrics.validity"


def _size(name: str, summary: str, unit: str, source: str, function: str, version: int = 1) -> Metric:
    return Metric(name, summary, unit, 0.0, inf, "lower", "geometric_mean", source, f"{_SIZE}:{function}", version)


def _loss(name: str, summary: str, direction: Direction = "lower") -> Metric:
    return Metric(name, summary, "nats", 0.0, inf, direction, "mean", _GAO, f"{_TASK}:task_loss")


def _share(
    name: str, summary: str, low: float, direction: Direction, source: str, function: str | None, version: int = 1
) -> Metric:
    aggregate: Aggregate = "median" if _unbounded(low, 1.0) else "mean"
    return Metric(name, summary, "share", low, 1.0, direction, aggregate, source, function, version)


def _reported(
    name: str, summary: str, unit: str, direction: Direction, aggregate: Aggregate = "mean", version: int = 1
) -> Metric:
    return Metric(name, summary, unit, 0.0, inf, direction, aggregate, _OURS, None, version)


_BY_CELL: tuple[tuple[MeasuredBy, tuple[Metric, ...]], ...] = (("circuit", (
    # Size of a circuit
    _size("nodes", "Nodes kept.", "nodes", _GAO, "node_count"),
    _size("edges", "Nonzero weights between kept nodes.", "edges", _GAO, "edge_count", 2),
    Metric("verified_edges", "Fewest edges with which the circuit still does the task, all others ablated.", "edges",
           0.0, inf, "lower", "geometric_mean", _OURS, None),
    Metric("minimal_nodes", "Nodes of a circuit from which no node can be removed alone.", "nodes", 0.0, inf, "lower",
           "geometric_mean", _OURS, None),
    Metric("minimal_edges", "Verified edges of which none can be ablated alone.", "edges", 0.0, inf, "lower",
           "geometric_mean", _OURS, None),
    _size("touched_edges", "Nonzero weights with at least one end kept.", "edges", _OURS, "touched_edge_count", 2),
    _size("description_bits", "Bits that specify the circuit.", "bits", _OURS, "description_bits", 2),
    _size("opaque_weights", "Nonzero weights in opaque blocks between kept nodes.", "weights", _OURS,
          "opaque_weight_count"),
    # Does it do the task
    _loss("circuit_loss", "Task loss of the circuit on test prompts."),
    _loss("calibrated_loss", "Task loss of the circuit after scale and shift of its logit difference."),
    _loss("random_circuit_loss", "Task loss of random circuits with as many nodes of each site.", "none"),
    _loss("whole_loss", "Task loss of the model with nothing ablated."),
    _loss("explained_loss", "Task loss of the reference model."),
    _loss("lowest_loss", "Lowest task loss, on validation prompts, of any circuit that the search tried."),
    _loss("empty_loss", "Task loss of the model with every node ablated.", "none"),
    Metric("recovered_task_loss", "(empty - circuit) / (empty - explained) of the task losses.", "share", -inf, inf,
           "higher", "median", _MARKS, f"{_AGREEMENT}:recovered_task_loss"),
    # Does it match the whole model
    _share("faithfulness", "1 - KL(whole||circuit) / KL(whole||empty) on the answer pair.", -inf, "higher", _OURS,
           f"{_AGREEMENT}:faithfulness"),
    _share("robust_faithfulness", "Lowest faithfulness under mean, resample, counterfactual, stochastic ablation.",
           -inf, "higher", _OURS, f"{_AGREEMENT}:faithfulness"),
    _share("logit_difference_r2", "Variance of the whole model's signed logit difference that the circuit explains.",
           -inf, "higher", _OURS, f"{_AGREEMENT}:logit_difference_r2", 2),
    _share("completeness", "Faithfulness of the complement, the nodes left out of the circuit.", -inf, "lower", _MARKS,
           f"{_AGREEMENT}:faithfulness"),
    _loss("necessity", "Task loss of the model with the circuit ablated.", "higher"),
    _loss("random_necessity", "Task loss of the model with random circuits of as many nodes of each site ablated.",
          "none"),
    # Is it minimal, and do its nodes do what they seem to do
    _share("idle_share", "Kept nodes that, ablated alone, raise the task loss by less than 0.01 nats.", 0.0,
           "lower", _WANG, f"{_INTERVENTION}:idle_share"),
    _share("removable_pairs", "Pairs of kept nodes that can be removed together, though neither can be alone.", 0.0,
           "lower", _OURS, None),
    _share("silent_share", "Kept nodes with one value on all prompts, which only switch off a mean.", 0.0,
           "lower", _OURS, None),
    Metric("second_circuit_nodes", "Nodes of the smallest circuit found with the first one's nodes forbidden.", "nodes",
           0.0, inf, "none", "geometric_mean", _OURS, None),
    Metric("interchange_loss", "Task loss of the circuit with values from prompts of the same answer and length.",
           "nats", 0.0, inf, "lower", "mean", f"{_GAO}, appendix E", f"{_TASK}:task_loss"),
    Metric("binarised_loss", "Task loss of the circuit with each kept node at one of two levels.", "nats", 0.0, inf,
           "lower", "mean", f"{_GAO}, figure 34", f"{_TASK}:task_loss"),
    _share("prediction_r2", "Variance of the effects of node edits in the whole model that the circuit explains.", -inf,
           "higher", _GEIGER, f"{_AGREEMENT}:logit_difference_r2", 2),
    Metric("prediction_rank_correlation", "Spearman's, of the effects of node edits in circuit and whole model.",
           "correlation", -1.0, 1.0, "higher", "mean", _GEIGER, f"{_INTERVENTION}:rank_correlation"),
    # Does it agree off the distribution that it was discovered on
    *(
        _share(f"agreement_{shift}", f"Prompts answered as by the whole model, {summary}.", 0.0, "higher", _OURS,
               f"{_AGREEMENT}:answer_agreement")
        for shift, summary in SHIFTED.items()
    ),
    # Does it compute in the same number of steps
    Metric("path_length", "Units on a path from embeddings to logits, mean of paths weighted by attribution.", "units",
           1.0, inf, "none", "mean", _AMEISEN, f"{_DEPTH}:path_length"),
    Metric("longest_path", "Units on the longest path from embeddings to logits.", "units", 1.0, inf, "none", "mean",
           _OURS, f"{_DEPTH}:longest_path"),
    _share("stream_interchange_r2", "Variance of the effect of the other prompt's residual stream that the "
           "circuit explains.", -inf, "higher", _GEIGER, f"{_AGREEMENT}:logit_difference_r2"),
    _share("write_interchange_r2", "The same for what the other prompt's last block alone wrote to the stream.", -inf,
           "higher", _GEIGER, f"{_AGREEMENT}:logit_difference_r2"),
    _share("stream_share", "Variance of the other prompt's effect in the circuit that its residual stream explains.",
           -inf, "higher", _OURS, f"{_AGREEMENT}:logit_difference_r2"),
    # Along the ranking
    _share("cpr", "Area under faithfulness over log size.", 0.0, "higher", _MIB, f"{_AGREEMENT}:cpr"),
    _share("cmd", "Area between faithfulness and 1 over log size.", 0.0, "lower", _MIB, f"{_AGREEMENT}:cmd"),
)), ("profile", (
    # Dictionaries
    Metric("fvu", "Variance that the dictionary does not explain.", "share", 0.0, inf, "lower", "median", _SAEBENCH,
           f"{_DICT}:fvu"),
    Metric("l0", "Features that fire at a position.", "features", 0.0, inf, "lower", "mean", _SAEBENCH, f"{_DICT}:l0"),
    _share("dead_fraction", "Features that never fire.", 0.0, "lower", _SAEBENCH, f"{_DICT}:dead_fraction"),
    Metric("loss_increase", "Next-token loss with all layers replaced minus the reference model's.", "nats", -inf, inf,
           "lower", "mean", _SAEBENCH, f"{_DICT}:loss_increase"),
    Metric("loss_recovered", "(ablated - replaced) / (ablated - original) of next-token losses.", "share", -inf, inf,
           "higher", "median", _SAEBENCH, f"{_DICT}:loss_recovered"),
)), ("claims", (
    _share("connection_density", "Pairs of nodes that carry 95 % of each target's attribution.", 0.0, "lower", _OURS,
           f"{_DICT}:connection_density"),
)), ("splitting", (
    *(
        Metric(name, summary, "features", 1.0, inf, direction, "mean", _CHANIN, f"{_DICT}:split_count")
        for name, (summary, direction) in SPLITS.items()
    ),
)), ("claims", (
    # Published claims about sparse circuits and competing methods
    Metric("error_compounding", "KL with all layers replaced over the sum of the KLs one layer at a time.", "ratio",
           0.0, inf, "lower", "median", _OURS, f"{_CLAIMS}:error_compounding"),
    Metric("replaced_kl", "KL of the model with all layers replaced from the reference model.", "nats", 0.0, inf,
           "lower", "mean", _OURS, f"{_AGREEMENT}:kl_divergence"),
    Metric("firing_rate_spread", "ln of the 90th over the 10th percentile of the rates of features that fire.", "nats",
           0.0, inf, "none", "mean", _OURS, f"{_CLAIMS}:firing_rate_spread"),
    _share("connection_density_null", "The same with the sources' weights permuted among them.", 0.0, "none",
           _OURS, f"{_DICT}:connection_density"),
    _share("coactive_connection_density", "The same as connection_density over the pairs that fire together.", 0.0,
           "lower", _OURS, f"{_DICT}:connection_density"),
    _share("coactive_connection_density_null", "That with the sources' weights permuted among them.", 0.0, "none",
           _OURS, f"{_DICT}:connection_density"),
    Metric("token_loss_correlation", "Correlation of next-token losses with a dense model's, token by token.",
           "correlation", -1.0, 1.0, "none", "mean", f"{_GAO}, figure 33", f"{_CLAIMS}:token_loss_correlation"),
    Metric("context_dilution", "Elements at which a model forgets that a list is nested.", "elements", 0.0, inf, "none",
           "geometric_mean", f"{_GAO}, section 3.2", f"{_CLAIMS}:context_dilution"),
    Metric("dilution_slope", "Slope of a model's knowledge of bracket depth over length, log-log: -1 for averaging.",
           "slope", -inf, inf, "none", "median", f"{_GAO}, section 3.2", f"{_CLAIMS}:dilution_slope"),
)), ("validity", (
    # Do nodes mean what their labels say
    *(
        Metric(name, summary, "share", -inf, inf, direction, "median", _PAULO, f"{_VALIDITY}:label_replacement_score",
               2 if name in CONTROLS else 1)
        for name, (_, summary, direction) in {**CONTROLS, **CHOICES}.items()
    ),
    Metric("near_label_score", "The label replacement score on tokens where the concept holds or has just held.",
           "share", -inf, inf, "higher", "median", _PAULO, f"{_VALIDITY}:label_replacement_score"),
    Metric("ablation_harm", "Next-token loss with each concept's node at its mean minus the loss without.", "nats",
           -inf, inf, "none", "mean", _OURS, None),
)), ("circuit", (
    Metric("circuit_label_replacement_score", "Labels instead of a circuit's node, inside the circuit, task loss.",
           "share", -inf, inf, "higher", "median", _PAULO, f"{_VALIDITY}:label_replacement_score", 2),
    Metric("task_label_replacement_score", "The same node and labels in the whole model, task loss.", "share", -inf,
           inf, "higher", "median", _PAULO, f"{_VALIDITY}:label_replacement_score", 2),
    Metric("joint_label_replacement_score", "All labelled nodes of a circuit replaced at once, task loss.", "share",
           -inf, inf, "higher", "median", _PAULO, f"{_VALIDITY}:label_replacement_score", 2),
    *(
        Metric(f"corpus_{where}_{joint}label_score", f"{nodes}, in {place}, next-token loss on the corpus.", "share",
               -inf, inf, "none", "median", _PAULO, f"{_VALIDITY}:label_replacement_score")
        for where, place in {"circuit": "the circuit", "whole": "the whole model"}.items()
        for joint, nodes in {"": "Labels instead of a circuit's node",
                             "joint_": "Labels instead of all labelled nodes of a circuit"}.items()
    ),
    Metric("labelled_share", "Kept nodes that some concept labels with average precision 0.5 or more.", "share", 0.0,
           1.0, "higher", "mean", _OURS, None, 2),
)), ("validity", (
    *(
        Metric(f"pooled_{choice}{control}_score",
               f"Loss under {replaced} over the harm of ablation, all concepts together.", "share", -inf, inf,
               "higher" if not choice and control == "label" else "none", "median", _PAULO,
               f"{_VALIDITY}:label_replacement_score", 1 if choice else 2)
        for choice, by in POOLED.values()
        for control, replaced in {"label": f"labels{by}", "shifted": f"shifted labels{by}"}.items()
    ),
    *(
        _reported(f"pooled_{choice}concepts", f"Concepts whose scores are pooled{by}.", "concepts", "none")
        for choice, by in POOLED.values()
    ),
    Metric("explained_harm", "Share of the harm of ablating each node that its best label explains beyond a null.",
           "share", -inf, inf, "higher", "median", _OURS, f"{_VALIDITY}:explained_harm"),
    *(
        Metric(f"explained_harm_{kind}", f"Share of the harm of ablating each node that {labels} explain.", "share",
               -inf, inf, "none", "median", _OURS, f"{_VALIDITY}:explained_harm")
        for kind, labels in {"label": "its best labels", "token": "labels from the current token",
                             "shifted": "its best shifted labels"}.items()
    ),
    _reported("explained_nodes", "Nodes drawn to measure the explained harm.", "nodes", "none"),
    _share("p_concept_given_active", "Probability of the concept given that its node is active.", 0.0, "higher", _HUANG,
           f"{_VALIDITY}:p_concept_given_active", 2),
    _share("p_active_given_concept", "Probability that its node is active given the concept.", 0.0, "higher", _HUANG,
           f"{_VALIDITY}:p_active_given_concept", 2),
    _share("average_precision", "Average precision of each concept's node, chosen among those that matter.", 0.0,
           "higher", _OIKARINEN, f"{_VALIDITY}:average_precision", 2),
    _share("highest_average_precision", "Average precision of each concept's best detector, whether or not it matters.",
           0.0, "higher", _OIKARINEN, f"{_VALIDITY}:average_precision"),
    _share("token_average_precision", "Average precision of the best predictor from the current token alone.", 0.0,
           "none", _OURS, f"{_VALIDITY}:average_precision"),
    _share("top_k_precision", "Share of its node's top positions at which the concept holds.", 0.0, "higher", _OURS,
           f"{_VALIDITY}:top_k_precision", 2),
    _share("middle_band_purity", "Probability of the concept in its node's middle band of activation.", 0.0, "higher",
           _OURS, f"{_VALIDITY}:band_purity", 2),
    *(
        _share(f"average_precision_{kind}", f"Average precision of each concept's best {kind} node.", 0.0, "higher",
               _OIKARINEN, f"{_VALIDITY}:average_precision")
        for kind in _KINDS
    ),
    _share("undefined_rate", "Concepts whose score is indistinguishable from noise.", 0.0, "none", _OURS, None, 2),
    _share("unused_rate", "Concepts of which no detector does more than the least harm.", 0.0, "none", _OURS, None),
    _share("illusion_rate", "Named nodes that labels of their name cannot replace, of those decided.", 0.0, "lower",
           _OURS, None, 2),
    _share("least_illusion_rate", "Illusions among named nodes that matter, all undecided ones counted as none.", 0.0,
           "none", _OURS, None),
    _share("most_illusion_rate", "Illusions among named nodes that matter, all undecided ones counted as one.", 0.0,
           "none", _OURS, None),
    _share("undecided_rate", "Named nodes of which the data cannot tell.", 0.0, "none", _OURS, None),
    _share("graded_rate", "Named nodes that no two-valued signal can replace.", 0.0, "none", _OURS, None, 2),
    _share("middle_meaning", "How far one other concept accounts for a named node's middle band, beyond chance.", -inf,
           "none", _OURS, f"{_VALIDITY}:middle_meaning"),
    _reported("named_nodes", "Nodes with a name by top examples that were judged and matter.", "nodes", "none",
              version=2),
    _reported("nodes_with_a_name", "Nodes with a name by top examples.", "nodes", "none"),
    *(
        Metric(f"basis_privilege_{kind}", f"ln of the kurtosis of {kind} nodes, own basis over a random one.", "nats",
               -inf, inf, "none", "mean", _ELHAGE, f"{_VALIDITY}:basis_privilege")
        for kind in _KINDS
    ),
    *(
        Metric(f"basis_precision_gain_{kind}", f"Best average precision of {kind} nodes, own basis minus a random one.",
               "share", -1.0, 1.0, "none", "mean", _OURS, f"{_VALIDITY}:average_precision", 2)
        for kind in _KINDS
    ),
)), ("profile", (
    # Capability and cost
    _reported("validation_loss", "Next-token loss of the model that contains the circuits.", "nats", "lower"),
    _reported("parameters", "Parameters, excluding the bigram table.", "parameters", "none", "geometric_mean"),
    _reported("nonzero_parameters", "Parameters that are not zero.", "parameters", "none", "geometric_mean"),
    _reported("training_flops", "Floating-point operations of training.", "FLOPs", "lower", "geometric_mean"),
)))  # fmt: skip
"""The metrics in the order of the leaderboard's columns, under the kind of cell that measures them."""

OURS: dict[str, Metric] = {metric.name: replace(metric, cell=cell) for cell, metrics in _BY_CELL for metric in metrics}


def _check(metric: Metric) -> None:
    """`ValueError` for a metric that nothing measures, or whose values cannot be aggregated."""
    for field, choices in (("direction", get_args(Direction)), ("aggregate", get_args(Aggregate))):
        if getattr(metric, field) not in choices:
            raise ValueError(f"{field} is {getattr(metric, field)!r}; choose from {', '.join(choices)}")
    if not metric.low < metric.high:
        raise ValueError(f"its range is {metric.low} to {metric.high}")
    if metric.name not in OURS and (metric.score is None or metric.cell != "circuit"):
        raise ValueError("a metric from outside has a score 'module:function' and the cell 'circuit'")


METRICS: Registry[Metric] = Registry("metric", Metric, OURS.values(), functions=("score",), check=_check)
"""Every metric by name, ours in the order of the leaderboard's columns."""
