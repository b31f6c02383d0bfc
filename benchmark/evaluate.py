"""The table of contents of the benchmark: build the corpus, train a method, profile it, find and score its circuits.

Each `compute_*` function is the work of one kind of cell: a pure function of its parameters and of the artifacts that
it needs, which writes files into its folder.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmark import metrics
from benchmark.ablation import Means, corpus_means, keep_only
from benchmark.circuit import Circuit
from benchmark.concepts import CONCEPTS, CONCEPTS_OF_TASK
from benchmark.config import CircuitConfig, ValidityConfig
from benchmark.corpus import Corpus, CorpusConfig, Split, build
from benchmark.corpus.spread import spread_windows
from benchmark.graph import node_sites
from benchmark.methods import Progress, method_named
from benchmark.model import CircuitModel, Connection, Edit, Graph, forward, unedited
from benchmark.pruning import (
    Budget,
    FoundCircuit,
    TaskPrompts,
    answer_logits,
    calibrated_loss,
    find_circuit,
    geometric_sizes,
    logit_difference,
    prompt_losses,
)
from benchmark.records import Measurement, write_measurements
from benchmark.seeds import seed_of
from benchmark.tasks import task_named
from benchmark.tasks.prompts import PromptBatch, prompts
from benchmark.validity.assess import Settings, assess
from benchmark.validity.in_circuit import circuit_validity
from benchmark.validity.rows import circuit_measurements, measurements, write_validity
from benchmark.validity.sample import draw_sample

Params = Mapping[str, Any]
Inputs = Mapping[str, Path]


# The kinds of cell


def compute_corpus(params: Params, inputs: Inputs, folder: Path, progress: Progress) -> None:
    """Generate, tokenise and split the corpus."""
    build(CorpusConfig(**params), folder, progress)


def compute_train(params: Params, inputs: Inputs, folder: Path, progress: Progress) -> None:
    """Train one method with one seed."""
    method = method_named(params["method"])
    facts = method.run_train(
        Corpus.load(inputs["corpus"]),
        method.config(**params["config"]),
        params["seed"],
        {name: load_native(name, inputs) for name in method.needs},
        folder,
        progress,
    )
    (folder / "facts.json").write_text(json.dumps(asdict(facts), indent=1, sort_keys=True))


def compute_profile(params: Params, inputs: Inputs, folder: Path, progress: Progress) -> None:
    """Corpus means of every node of one variant, its validation loss, and the facts of its training."""
    corpus = Corpus.load(inputs["corpus"])
    model = load_variant(params["method"], params["variant"], inputs)
    progress(0, 2, "corpus means")
    save_file(corpus_means(model, spread_windows(corpus, "train", params["mean_tokens"])), folder / "means.safetensors")
    progress(1, 2, "validation loss")
    loss = next_token_loss(model, spread_windows(corpus, "validation", params["validation_tokens"]))
    facts = json.loads((inputs[params["method"]] / "facts.json").read_text())
    values = {
        "validation_loss": loss,
        **{name: facts[name] for name in ("parameters", "nonzero_parameters", "training_flops")},
        **facts["dictionary"],
    }
    write_measurements([Measurement(metric=name, value=value) for name, value in values.items()], folder)


def compute_validity(params: Params, inputs: Inputs, folder: Path, progress: Progress) -> None:
    """Find out what the nodes of one variant mean, and whether they do."""
    settings = {name: params[name] for name in ValidityConfig.model_fields}
    config, corpus = ValidityConfig(**settings), Corpus.load(inputs["corpus"])
    concepts = list(CONCEPTS.values())
    choice = draw_sample(corpus, "validation", config.choice_tokens, concepts)
    score = draw_sample(corpus, "test", config.score_tokens, concepts)
    found = assess(
        load_variant(params["method"], params["variant"], inputs),
        choice,
        score,
        concepts,
        Settings(config.concepts or tuple(CONCEPTS), config.ablated_nodes, config.top_k),
        corpus.decode,
        np.random.default_rng(seed_of("validity", params["method"], params["seed"])),
        progress,
    )
    write_validity(found, folder)
    write_measurements(measurements(found, len(score.tokens)), folder)


def compute_circuit(params: Params, inputs: Inputs, folder: Path, progress: Progress) -> None:
    """Find the circuit of one variant for one task in one graph, and score it."""
    config = CircuitConfig(**params["circuit"])
    setting = load_setting(params, inputs, config)
    generator = torch.Generator().manual_seed(seed_of("finder", params["task"], params["seed"]))
    found = find_circuit(
        setting.model,
        setting.prompts,
        setting.means,
        graph=setting.graph,
        target=config.target_loss,
        ranking=config.ranking,
        budget=budget_of(config),
        generator=generator,
    )
    found.circuit.save(folder / "circuit.safetensors")
    save_file({"order": found.order}, folder / "order.safetensors")
    progress(1, 2, "scoring")
    rows = score_circuit(setting, found, config)
    rows += label_circuit(setting, found, params["task"], Corpus.load(inputs["corpus"]), rows[0], folder)
    write_measurements(rows, folder)


# What the cells are made of


@dataclass(frozen=True, eq=False)
class Setting:
    """A model with its nodes' means, and the prompts on which its circuit is found and scored.

    Attributes:
        model: The model that is cut.
        explained: The trained model that the circuit is held to; the same object where a method explains itself.
        means: What an ablated node holds.
        graph: Which sites count as nodes.
        prompts: Of the task.
        seed: Of the bootstrap.
    """

    model: CircuitModel
    explained: CircuitModel
    means: Means
    graph: Graph
    prompts: TaskPrompts
    seed: int


def load_setting(params: Params, inputs: Inputs, config: CircuitConfig) -> Setting:
    """Everything that a circuit cell works on."""
    method = method_named(params["method"])
    model = load_variant(method.name, params["variant"], inputs)
    return Setting(
        model=model,
        explained=model if method.explains is None else load_native(method.explains, inputs),
        means=load_file(inputs["profile"] / "means.safetensors"),
        graph=params["graph"],
        prompts=task_prompts(params["task"], Corpus.load(inputs["corpus"]), config, params["seed"]),
        seed=params["seed"],
    )


def load_variant(name: str, variant: str, inputs: Inputs) -> CircuitModel:
    """One variant of a trained method, on the models that it needs."""
    method = method_named(name)
    return method.run_load(inputs[name], variant, {needed: load_native(needed, inputs) for needed in method.needs})


def load_model(run: Path, method: str, variant: str | None = None) -> CircuitModel:
    """A trained model, ready to be watched and edited.

    Args:
        run: Folder that holds an artifact folder for the method and for each method that it needs, by method name.
        method: Name of the method.
        variant: How to read it; its first variant if left out.
    """
    chosen = method_named(method).variants[0].name if variant is None else variant
    return load_variant(method, chosen, {entry.name: entry for entry in run.iterdir()})


def load_native(name: str, inputs: Inputs) -> CircuitModel:
    """The first variant of a trained method."""
    return load_variant(name, method_named(name).variants[0].name, inputs)


def task_prompts(name: str, corpus: Corpus, config: CircuitConfig, seed: int) -> TaskPrompts:
    """The prompts of a task; the same for every method."""
    task = task_named(name)

    def drawn(split: Split, pairs: int) -> PromptBatch:
        return prompts(task, corpus.tokenizer, split, pairs, seed_of("prompts", name, split, seed))

    return TaskPrompts(
        train=drawn("train", config.train_pairs),
        validation=drawn("validation", config.validation_pairs),
        test=drawn("test", config.test_pairs),
    )


def budget_of(config: CircuitConfig) -> Budget:
    """The part of the settings that the finder may spend."""
    return Budget(
        tokens=config.budget_tokens,
        batch_pairs=config.batch_pairs,
        coefficients=config.coefficients,
        learning_rate=config.learning_rate,
        temperature=config.temperature,
        initial_mean=config.initial_mean,
        initial_noise=config.initial_noise,
    )


@torch.no_grad()
def next_token_loss(model: CircuitModel, windows: Int[Tensor, "window position"], batch: int = 16) -> float:
    """Mean cross entropy of the next token over windows, nats."""
    total = 0.0
    for rows in windows.split(batch):
        logits = forward(model, rows[:, :-1])
        total += float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten(), reduction="sum"))
    return total / windows[:, 1:].numel()


# Scores of one circuit


def label_circuit(
    setting: Setting, found: FoundCircuit, task: str, corpus: Corpus, size: Measurement, folder: Path
) -> list[Measurement]:
    """Labels of the task's concepts in the place of the circuit's nodes; in the unit graph, where nodes are units.

    Args:
        setting: What the circuit was found in.
        found: The circuit.
        task: Name of the task.
        corpus: Whose tokenizer maps labels to tokens.
        size: A measurement of the circuit, whose status says whether the circuit counts.
        folder: Gets the coverage curve.
    """
    belonging = CONCEPTS_OF_TASK.get(task, ())
    if setting.graph != "unit" or not belonging:
        return []
    found_labels = circuit_validity(
        setting.model,
        found.circuit,
        setting.means,
        (setting.prompts.validation, setting.prompts.test),
        corpus.tokenizer,
        list(CONCEPTS.values()),
        belonging,
        np.random.default_rng(seed_of("labels", task, setting.seed)),
    )
    write_validity(found_labels, folder)
    rows = list(circuit_measurements(found_labels, len(setting.prompts.test) // 2))
    return rows if size.status == "ok" else [row.without_value(size.status, size.reason) for row in rows]


@torch.no_grad()
def score_circuit(setting: Setting, found: FoundCircuit, config: CircuitConfig) -> list[Measurement]:
    """All measurements of a found circuit, on test prompts."""
    sites = node_sites(setting.model, setting.graph)
    views = {
        "explained": answer_logits(setting.explained, setting.prompts.test, unedited),
        "whole": _test_logits(setting, unedited),
        "circuit": _test_logits(setting, keep_only(found.circuit, setting.means)),
        "complement": _test_logits(setting, keep_only(found.circuit.complement(), setting.means)),
        "empty": _test_logits(setting, keep_only(Circuit.empty(sites), setting.means)),
    }
    status, reason = _status(setting, found, views, config)
    connections = list(setting.model.connections(setting.graph))
    rows = [
        *_size_rows(found, connections, setting, config),
        *_faithfulness_rows(setting.prompts.test, views, setting.seed),
        Measurement("calibrated_loss", float(calibrated(found, views["circuit"], setting.prompts.test))),
    ]
    if status != "ok":
        rows = [row.without_value(status, reason) for row in rows]
    return rows + _loss_rows(setting.prompts.test, views, found) + _area_rows(setting, found, views, config)


def _test_logits(setting: Setting, edit: Edit) -> Float[Tensor, "prompt vocab"]:
    return answer_logits(setting.model, setting.prompts.test, edit)


def _status(
    setting: Setting, found: FoundCircuit, views: Mapping[str, Tensor], config: CircuitConfig
) -> tuple[str, str]:
    """Whether the circuit counts, and if not, why."""
    test = setting.prompts.test
    whole, circuit = (float(prompt_losses(views[name], test).mean()) for name in ("whole", "circuit"))
    if found.status == "ok" and circuit <= config.target_loss + config.generalisation_margin:
        return "ok", ""
    if whole > config.target_loss:
        return "unsolved", f"the whole model's test loss is {whole:.3f}, above {config.target_loss}"
    if found.status == "not_reached":
        return "not_reached", f"the lowest validation loss of any prefix is {found.lowest_loss:.3f}"
    return "not_generalised", f"test loss {circuit:.3f}, above {config.target_loss} + {config.generalisation_margin}"


def _size_rows(
    found: FoundCircuit, connections: Iterable[Connection], setting: Setting, config: CircuitConfig
) -> list[Measurement]:
    """Sizes of the circuit; for edges with the interval over resampled validation prompts."""
    connections = list(connections)
    low, high = edge_interval(found, connections, setting, config.target_loss)
    pairs = len(setting.prompts.validation) // 2
    edges = metrics.edge_count(found.circuit, connections)
    return [
        Measurement("nodes", metrics.node_count(found.circuit)),
        Measurement("edges", edges, low=low, high=high, interval="prompts", n=pairs),
        Measurement("touched_edges", metrics.touched_edge_count(found.circuit, connections)),
        Measurement("description_bits", metrics.description_bits(found.circuit, connections)),
        Measurement("opaque_weights", metrics.opaque_weight_count(found.circuit, connections)),
    ]


def edge_interval(
    found: FoundCircuit, connections: Iterable[Connection], setting: Setting, target: float
) -> tuple[float, float]:
    """95 % interval of the edge count when validation prompts are resampled and the ranking is cut anew.

    Pairs are drawn with replacement; each draw keeps the smallest size that was tried whose resampled loss meets the
    target (the largest tried if none does).
    """
    sites = node_sites(setting.model, setting.graph)
    tried = list(found.curve)
    losses = torch.stack([found.curve[size] for size in tried]).unflatten(1, (-1, 2)).mean(2)
    reached = losses[:, resampled(losses.shape[1], setting.seed)].mean(2) <= target
    chosen = torch.where(reached.any(0), reached.int().argmax(0), len(tried) - 1)
    edges = {
        index: metrics.edge_count(Circuit.first(sites, found.order, tried[index]), connections)
        for index in chosen.unique().tolist()
    }
    drawn = np.array([edges[index] for index in chosen.tolist()])
    low, high = np.quantile(drawn, [0.025, 0.975], method="nearest")
    return float(low), float(high)


def resampled(pairs: int, seed: int, resamples: int = 1000) -> Int[Tensor, "resample pair"]:
    """Indices of prompt pairs drawn with replacement: the two prompts of a pair always come together."""
    generator = torch.Generator().manual_seed(seed_of("resample", seed))
    return torch.randint(pairs, (resamples, pairs), generator=generator)


def _faithfulness_rows(test: PromptBatch, views: Mapping[str, Tensor], seed: int) -> list[Measurement]:
    """How well circuit and complement agree with the explained model."""
    loss = {name: metrics.task_loss(logits, test.answer, test.other) for name, logits in views.items()}
    difference = {name: logit_difference(logits, test) for name, logits in views.items()}
    r2 = metrics.logit_difference_r2(difference["explained"], difference["circuit"])
    recovered = metrics.recovered_task_loss(loss["circuit"], loss["explained"], loss["empty"])
    return [
        _agreement("faithfulness", "circuit", test, views, seed),
        _agreement("completeness", "complement", test, views, seed),
        Measurement("logit_difference_r2", r2, n=len(test)),
        Measurement("necessity", loss["complement"], n=len(test)),
        Measurement("recovered_task_loss", recovered, n=len(test)),
    ]


def _agreement(metric: str, view: str, test: PromptBatch, views: Mapping[str, Tensor], seed: int) -> Measurement:
    """Faithfulness of a view to the explained model, with its interval over resampled pairs."""
    kls = {
        name: torch.tensor(
            [
                metrics.pair_kl(views["explained"][rows], views[name][rows], test.answer[rows], test.other[rows])
                for rows in torch.arange(len(test)).split(2)
            ]
        )
        for name in (view, "empty")
    }
    value = metrics.faithfulness(float(kls[view].mean()), float(kls["empty"].mean()))
    draws = resampled(len(test) // 2, seed)
    scores = 1 - kls[view][draws].mean(1) / kls["empty"][draws].mean(1)
    low, high = scores.quantile(torch.tensor([0.025, 0.975], dtype=scores.dtype)).tolist()
    return Measurement(metric, value, low=low, high=high, interval="prompts", n=len(test) // 2)


def calibrated(found: FoundCircuit, logits: Tensor, test: PromptBatch) -> Float[Tensor, ""]:
    """Test loss of the circuit after the scale and shift fitted on validation prompts, nats."""
    scale, shift = torch.tensor([found.calibration.scale, found.calibration.shift])
    return calibrated_loss(logit_difference(logits, test), scale, shift)


def _loss_rows(test: PromptBatch, views: Mapping[str, Tensor], found: FoundCircuit) -> list[Measurement]:
    """Losses, which have a value whatever the status."""
    named = {"whole_loss": "whole", "explained_loss": "explained", "empty_loss": "empty", "circuit_loss": "circuit"}
    rows = [
        Measurement(metric, metrics.task_loss(views[view], test.answer, test.other)) for metric, view in named.items()
    ]
    return [*rows, Measurement("lowest_loss", found.lowest_loss)]


def _area_rows(
    setting: Setting, found: FoundCircuit, views: Mapping[str, Tensor], config: CircuitConfig
) -> list[Measurement]:
    """Areas under faithfulness over log size, along the ranking."""
    test, sites = setting.prompts.test, node_sites(setting.model, setting.graph)
    total = sum(site.size for site in sites)
    empty = metrics.pair_kl(views["explained"], views["empty"], test.answer, test.other)
    sizes = [size for size in geometric_sizes(total, config.area_factor) if size <= config.largest_size]
    scores = []
    for size in sizes:
        logits = _test_logits(setting, keep_only(Circuit.first(sites, found.order, size), setting.means))
        kl = metrics.pair_kl(views["explained"], logits, test.answer, test.other)
        scores.append(metrics.faithfulness(kl, empty))
    return [
        Measurement("cpr", metrics.cpr(sizes, scores, config.largest_size)),
        Measurement("cmd", metrics.cmd(sizes, scores, config.largest_size)),
    ]
