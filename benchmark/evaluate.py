"""The table of contents of the benchmark: one function per kind of cell, from the corpus to a scored circuit.

Each `compute_*` function computes the cells of one kind: a pure function of the cell's parameters and of the artifacts
that it needs, which writes files into the cell's folder.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from safetensors.torch import save_file
from torch import Tensor

from benchmark.claims.measure import measure
from benchmark.claims.rows import claim_measurements, claim_points, write_claims
from benchmark.claims.settings import ClaimsConfig
from benchmark.concepts import CONCEPTS
from benchmark.concepts.labelled import read_labelled, write_labelled
from benchmark.corpus import Corpus, CorpusConfig, build
from benchmark.corpus.sampling import spread_windows
from benchmark.discovery.cutting import FoundCircuit
from benchmark.discovery.finder import find_circuit
from benchmark.discovery.settings import CircuitConfig
from benchmark.files import read_as
from benchmark.interventions.ablation import octave_means, over_octaves
from benchmark.methods import METHODS, Facts
from benchmark.model.interface import CircuitModel, next_token_loss, stated_means
from benchmark.progress import Progress
from benchmark.records.curves import write_points
from benchmark.records.table import Measurement, write_measurements
from benchmark.running.cells import LABELLED, Cell
from benchmark.running.circuit_inputs import Params, means_of, position_means_of, scored_task, task_prompts
from benchmark.running.models import Inputs, load_native, load_variant
from benchmark.running.store import Store
from benchmark.scoring.case import DiscoveredCircuit, Setting
from benchmark.scoring.score_circuit import score_circuit, score_search
from benchmark.seeds import seed_of
from benchmark.tasks.encoding import MAX_TOKENS, check_listed
from benchmark.tasks.listed import write_listed
from benchmark.validity.assess import Assessment, assess
from benchmark.validity.labelled_sample import read_samples, write_windows
from benchmark.validity.rows import concept_measurements, measurements, write_validity
from benchmark.validity.sample import draw_sample
from benchmark.validity.settings import ValidityConfig
from benchmark.validity.splitting import Watched, splitting_measurements

# The kinds of cell


def compute_corpus(params: Params, inputs: Inputs, folder: Path, progress: Progress) -> None:
    """Generate, tokenise and split the corpus."""
    build(CorpusConfig(**params), folder, progress)


def compute_task(params: Params, inputs: Inputs, folder: Path, progress: Progress) -> None:
    """Keep the pairs of a task that was read from a file, so that no other cell reads the file."""
    write_listed(params, folder)


def compute_prompts(params: Params, inputs: Inputs, folder: Path, progress: Progress) -> None:
    """Check that a task's prompts fit the corpus's tokenizer and context; `ValueError` with the prompt if not."""
    config = CircuitConfig(**{name: params[name] for name in params.keys() - {"task", "seed"}})
    task, corpus = scored_task(params, inputs, config), Corpus.load(inputs["corpus"])
    check_listed(task, corpus.tokenizer, min(MAX_TOKENS, corpus.config.context), corpus.beginning)
    made = task_prompts(task, corpus, config, params["seed"])
    facts = {split: {"pairs": batch.clusters, "longest": batch.tokens.shape[1]} for split, batch in made.splits.items()}
    (folder / "prompts.json").write_text(json.dumps(facts, indent=1))


def compute_labelled(params: Params, inputs: Inputs, folder: Path, progress: Progress) -> None:
    """Keep the texts of a file of concepts, cut into windows of the corpus's tokens; `ValueError` if too few."""
    write_windows(write_labelled(params, folder), Corpus.load(inputs["corpus"]), folder)


def compute_train(params: Params, inputs: Inputs, folder: Path, progress: Progress) -> None:
    """Train one method with one seed."""
    method = METHODS.named(params["method"])
    facts = method.run_train(
        Corpus.load(inputs["corpus"]),
        method.config(**params["config"]),
        params["seed"],
        {name: load_native(name, inputs) for name in method.needs},
        folder,
        progress,
    )
    (folder / "facts.json").write_text(json.dumps(asdict(facts), indent=1, sort_keys=True), encoding="utf-8")


def compute_profile(params: Params, inputs: Inputs, folder: Path, progress: Progress) -> None:
    """Measure the corpus means of every node of a variant and its validation loss; add the facts of its training."""
    corpus = Corpus.load(inputs["corpus"])
    model = load_variant(params["method"], params["variant"], inputs)
    progress(0, 2, "corpus means")
    means, position_means = measured_means(model, spread_windows(corpus, "train", params["mean_tokens"])[0])
    save_file(position_means, folder / "position_means.safetensors")
    save_file(means, folder / "means.safetensors")
    progress(1, 2, "validation loss")
    loss = next_token_loss(model, *spread_windows(corpus, "validation", params["validation_tokens"]))
    facts = read_as(inputs[params["method"]] / "facts.json", Facts)
    measured = {
        "validation_loss": loss,
        **{name: getattr(facts, name) for name in ("parameters", "nonzero_parameters")},
    }
    found = [
        *(Measurement(name, value) for name, value in measured.items()),
        _training_flops(facts),
        *(Measurement(name, value) for name, value in facts.dictionary.items()),
    ]
    write_measurements(found, folder)


def _training_flops(facts: Facts) -> Measurement:
    if facts.training_flops is None:
        return Measurement("training_flops", status="undefined", reason="it was trained elsewhere")
    return Measurement("training_flops", facts.training_flops)


def compute_validity(params: Params, inputs: Inputs, folder: Path, progress: Progress) -> None:
    """Assess which concepts the nodes of a variant represent, and how well; those of a file on its own texts."""
    config = ValidityConfig(**{name: params[name] for name in ValidityConfig.model_fields if name in params})
    corpus = Corpus.load(inputs["corpus"])
    concepts = list(CONCEPTS.values())
    model = load_variant(params["method"], params["variant"], inputs)
    choice = draw_sample(corpus, "validation", config.choice_tokens, concepts)
    score = draw_sample(corpus, "test", config.score_tokens, concepts)
    found = assess(
        model,
        choice,
        score,
        concepts,
        config.concepts or tuple(CONCEPTS),
        config,
        corpus.decode,
        np.random.default_rng(seed_of("validity", params["method"], params["seed"])),
        progress,
    )
    labelled = [
        assess_labelled(model, inputs[role], corpus, config, seed_of(role, params["method"], params["seed"]), progress)
        for role in sorted(inputs)
        if role.startswith(LABELLED)
    ]
    rows = [row for each in labelled for row in each.concepts]
    write_validity(replace(found, concepts=[*found.concepts, *rows]), folder)
    write_measurements([*measurements(found), *concept_measurements(rows)], folder)


def compute_claims(params: Params, inputs: Inputs, folder: Path, progress: Progress) -> None:
    """Measure on a variant the numbers behind the published claims about sparse circuits and their competitors."""
    config = ClaimsConfig(**{name: params[name] for name in ClaimsConfig.model_fields})
    seed = seed_of("claims", params["seed"])
    model = load_variant(params["method"], params["variant"], inputs)
    found = measure(
        model,
        means_of(model, inputs["profile"]),
        Corpus.load(inputs["corpus"]),
        config.tokens,
        load_reference(params["method"], config.reference, inputs),
        seed,
        progress,
    )
    write_claims(found, folder)
    write_points(claim_points(found), folder)
    write_measurements(claim_measurements(found, np.random.default_rng(seed)), folder)


def compute_splitting(params: Params, inputs: Inputs, folder: Path, progress: Progress) -> None:
    """Count into how many features of a dictionary concepts split, and features of another dictionary."""
    corpus, name = Corpus.load(inputs["corpus"]), params["method"]
    concepts = tuple(params["concepts"]) or tuple(CONCEPTS)
    labelled = [CONCEPTS[concept] for concept in concepts]
    samples = (
        draw_sample(corpus, "validation", params["choice_tokens"], labelled),
        draw_sample(corpus, "test", params["score_tokens"], labelled),
    )
    own = Watched.of(load_variant(name, params["variant"], inputs), *samples)
    progress(1, 2, "counting")
    other = None
    if "other" in inputs:
        other = Watched.of(load_variant(name, params["variant"], {**inputs, name: inputs["other"]}), *samples)
    generator = np.random.default_rng(seed_of("splitting", name, params["seed"]))
    write_measurements(splitting_measurements(own, other, samples, concepts, generator), folder)


def compute_circuit(params: Params, inputs: Inputs, folder: Path, progress: Progress) -> None:
    """Discover the circuit of a variant for a task in a graph, and score it."""
    config, corpus = CircuitConfig(**params["circuit"]), Corpus.load(inputs["corpus"])
    setting = load_setting(params, inputs, config, corpus)
    found = discover(setting, params, config, folder)
    progress(1, 2, "scoring")
    case = DiscoveredCircuit.of(setting, found, config, scored_task(params, inputs, config), corpus, folder)
    write_measurements(score_circuit(case), folder)


def compute_search(params: Params, inputs: Inputs, folder: Path, progress: Progress) -> None:
    """Discover the circuit of a variant for a task in a graph, and record its size and how faithful it is."""
    config, corpus = CircuitConfig(**params["circuit"]), Corpus.load(inputs["corpus"])
    setting = load_setting(params, inputs, config, corpus)
    found = discover(setting, params, config, folder)
    write_measurements(score_search(DiscoveredCircuit.of(setting, found, config)), folder)


# What the cells work with


def load_setting(params: Params, inputs: Inputs, config: CircuitConfig, corpus: Corpus) -> Setting:
    """The model, reference model, prompts and ablation values that a circuit cell works with."""
    method = METHODS.named(params["method"])
    model = load_variant(method.name, params["variant"], inputs)
    return Setting(
        model=model,
        reference=model if method.explains is None else load_native(method.explains, inputs),
        means=means_of(model, inputs["profile"]),
        graph=params["graph"],
        prompts=task_prompts(scored_task(params, inputs, config), corpus, config, params["seed"]),
        windows=spread_windows(corpus, "train", config.edge_tokens)[0],
        seed=params["seed"],
        position_means=position_means_of(model, inputs["profile"]),
        ablation=config.ablation,
    )


def measured_means(
    model: CircuitModel, windows: Int[Tensor, "window position"]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The mean of each node over windows of a corpus, or as stated with the model; and in each octave of positions."""
    position_means = octave_means(model, windows)
    return {**over_octaves(position_means, windows.shape[1]), **stated_means(model)}, position_means


def discover(setting: Setting, params: Params, config: CircuitConfig, folder: Path) -> FoundCircuit:
    """Discover the circuit that a cell asks for, and save it and the order of the nodes."""
    found = find_circuit(
        setting.model,
        setting.prompts,
        setting.means,
        graph=setting.graph,
        target=config.target_loss,
        ranking=config.ranking,
        budget=config.budget,
        ablation_values=setting.ablation_values,
        generator=finder_generator(params["task"], params["seed"], config),
    )
    found.circuit.save(folder / "circuit.safetensors")
    save_file({"order": found.order}, folder / "order.safetensors")
    return found


def finder_generator(task: str, seed: int, config: CircuitConfig) -> torch.Generator:
    """The source of all randomness of the search for a task's circuit in the model of a training seed."""
    return torch.Generator().manual_seed(seed_of("finder", task, seed, config.finder_seed))


def assess_labelled(
    model: CircuitModel, folder: Path, corpus: Corpus, config: ValidityConfig, seed: int, progress: Progress
) -> Assessment:
    """Assess how well the nodes of a model represent the concepts of a file, on the texts of that file."""
    concepts = read_labelled(folder).concepts
    names = [concept.name for concept in concepts]
    samples = read_samples(folder, names, corpus, (config.choice_tokens, config.score_tokens))
    fewer = config.model_copy(update={"judged_nodes": 1, "explained_nodes": 1})  # of these only the concepts are kept
    return assess(model, *samples, concepts, names, fewer, corpus.decode, np.random.default_rng(seed), progress)


def load_reference(method: str, reference: str, inputs: Inputs) -> CircuitModel | str:
    """The reference model for a method's token losses, or the reason why there is none."""
    if "reference" in inputs:
        return load_native(reference, {reference: inputs["reference"]})
    return "one training seed" if method == reference else f"the run has no method {reference}"


def setting_of(cell: Cell, config: CircuitConfig, store: Store) -> Setting:
    """The same of a circuit or search cell whose needs are in a store."""
    inputs = {role: store.artifact(needed.key) for role, needed in cell.needs.items()}
    return load_setting(cell.params, inputs, config, Corpus.load(inputs["corpus"]))
