"""What a method declares, and the registry of all installed methods, ours and other people's."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import BaseModel

from benchmark.plugins.registry import Registry, resolve
from benchmark.progress import Progress
from benchmark.resources import Resources, Shapes

if TYPE_CHECKING:
    from pathlib import Path

    from benchmark.corpus import Corpus
    from benchmark.model.interface import CircuitModel
    from benchmark.records.table import Record

Graph = Literal["channel", "unit"]
"""Which sites count as nodes; `benchmark.model.interface.Graph`, which imports torch."""

GRAPHS: tuple[Graph, ...] = get_args(Graph)


@dataclass(frozen=True)
class Variant:
    """One way to read a trained artifact.

    Attributes:
        name: Its name in the records.
        graphs: The graphs in which circuits are discovered.
        ranked: Whether it takes part in the ranking.
    """

    name: str
    graphs: tuple[Graph, ...]
    ranked: bool = True


SECTIONS = ("corpus", "circuit", "profile", "validity", "claims")
"""The sections of a preset that do not belong to a method."""

Role = Literal["method", "reference", "control"]


@dataclass(frozen=True)
class Axis:
    """A setting that `bench sweep` varies while the others stay fixed.

    Attributes:
        key: Its name in the method's section of a preset.
        factors: What the preset's value is multiplied by.
        quantity: Its name in print: `L0`, `width`; the key if left out.
        multiple_of: The setting of which it must be a multiple.
        least: Smallest value allowed, given the method's other settings.
        most: Largest value allowed.
    """

    key: str
    factors: tuple[float, ...]
    quantity: str = ""
    multiple_of: str | None = None
    least: Callable[[Mapping[str, Any]], float] = lambda config: 0.0
    most: float = math.inf


@dataclass(frozen=True)
class Facts:
    """What training reports about an artifact.

    Attributes:
        validation_loss: Mean next-token cross entropy on the validation split, nats.
        parameters: Number of parameters, not counting the bigram table.
        nonzero_parameters: How many of them are not zero.
        bigram_parameters: Size of the bigram table.
        training_flops: Floating-point operations of the training run, by the 6 x nonzero parameters x tokens rule;
            `None` for a model that was trained elsewhere.
        dictionary: Dictionary quality by metric name (`fvu`, `l0`, `dead_fraction`, …); empty for other methods.
    """

    validation_loss: float
    parameters: int
    nonzero_parameters: int
    bigram_parameters: int
    training_flops: float | None
    dictionary: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainedArtifact:
    """What a method has trained in a finished run, as it is handed to the functions that export it.

    Attributes:
        method: Name of the method.
        seed: Training seed.
        folder: The folder that `train` has filled.
        inputs: That folder, those of the methods that it depends on, and that of the corpus, by name.
        settings: The method's settings.
        code_version: Version of the code that trained it.
        libraries: Versions of the libraries that trained it.
        records: Every row of the run about this method and seed.
    """

    method: str
    seed: int
    folder: "Path"
    inputs: Mapping[str, "Path"]
    settings: Mapping[str, Any]
    code_version: str
    libraries: Mapping[str, str]
    records: "Sequence[Record]" = ()


class DivergedError(ValueError):
    """A loss or weights that are no longer finite.

    Args:
        what: What was seen, and when.
        config: The settings of the training; the error names their learning rate, if they have one.
    """

    def __init__(self, what: str, config: BaseModel) -> None:
        rate = getattr(config, "learning_rate", None)
        super().__init__(what if rate is None else f"{what}; choose a learning_rate below {rate:g}")

    @classmethod
    def unless_finite(cls, loss: float, step: int, config: BaseModel) -> None:
        """Raise if the loss of a step is not finite."""
        if not math.isfinite(loss):
            raise cls(f"loss {loss} at step {step}", config)


@dataclass(frozen=True)
class Method:
    """A way to make circuit models, declared without importing torch.

    Attributes:
        name: Its name on the command line and in the records.
        summary: One sentence.
        source: The paper it comes from.
        config: Pydantic class of its settings; a preset's table of the same name fills it.
        variants: The ways to read its trained artifact.
        train: `module:function`, called as `(corpus, config, seed, needed, folder, progress) -> Facts`. Writes
            safetensors and JSON into `folder` and resumes from what it finds there.
        load: `module:function`, called as `(folder, variant, needed) -> CircuitModel`.
        needs: Methods whose artifacts it is fitted on; `needed` maps each name to that method's first variant, loaded.
        explains: The method whose model is the reference model of its circuits; `None` means its own model.
        role: `reference`: a task counts if every reference solves it, and validation losses must match theirs;
            `control`: a null baseline, listed but never ranked; `method`: everything else.
        matched_to: The method whose validation loss its training is matched to; the leading reference has none.
        family: The family of tests in which it is compared with the leading reference; empty for a family of its own,
            in which it is compared with every reference, as any method of another distribution has.
        sweep: The settings that `bench sweep` varies; without any it is not swept.
        by_name: Whether `--method all` leaves it out, because it needs settings that no preset has, such as a path, or
            is no part of the comparison yet.
        settings_of: The method whose table of a preset fills its settings too, where the preset has none for itself.
        version: Raised by hand when the same config trains another artifact; it is then trained again.
        corpus: `module:function`, called as `(config) -> Mapping[str, object]`: the settings of the corpus that its
            models need, such as `tokenizer` and `beginning`; `context` is the most positions that they have, and a run
            keeps a smaller one. A run in which its user set others is refused. It is quick and imports no torch.
        outside: `module:function`, called as `(config) -> Mapping[str, str]`: digests of the files that `train` reads
            from outside the store, by name; they are part of its key. It raises `ValueError` for files that cannot be
            used, so that a run fails before it starts, and imports no torch.
        opens: `module:function`, called as `(folder) -> CircuitModel | None`: the model in a folder that was written
            elsewhere, for `benchmark.load_model(folder)`; `None` for a folder of something else.
        circuits: `module:function`, called as `(config) -> Collection[str]`: the tasks whose circuits come with its
            models, for the ranking `released`. It raises `ValueError` for settings that name none; imports no torch.
        resources: `module:function`, called as `(config, shapes) -> Resources | None`: what training takes and how
            large the models are, for `bench plan`; `None` if that is not stated. It computes in closed form, without
            torch, and raises `ValueError` for settings that do not fit those of the methods that this one needs.
        exports: The formats in which `bench export` writes its artifact, each with a `module:function`, called as
            `(TrainedArtifact, folder)`, that fills the empty folder.
    """

    name: str
    summary: str
    source: str
    config: type[BaseModel]
    variants: tuple[Variant, ...]
    train: str
    load: str
    needs: tuple[str, ...] = ()
    explains: str | None = None
    role: Role = "method"
    matched_to: str | None = None
    family: str = ""
    sweep: tuple[Axis, ...] = ()
    by_name: bool = False
    settings_of: str = ""
    version: int = 1
    resources: str | None = None
    corpus: str | None = None
    outside: str | None = None
    opens: str | None = None
    circuits: str | None = None
    exports: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def depends_on(self) -> tuple[str, ...]:
        """The methods without which it cannot be run: those it is fitted on, and the one whose model it explains."""
        return self.needs if self.explains is None else (*self.needs, self.explains)

    def run_train(
        self,
        corpus: "Corpus",
        config: BaseModel,
        seed: int,
        needed: Mapping[str, "CircuitModel"],
        folder: "Path",
        progress: Progress,
    ) -> Facts:
        """Train into `folder`, or resume training; `ValueError` with the method's name if the training diverges."""
        try:
            facts = resolve(self.train)(corpus, config, seed, needed, folder, progress)
            if not isinstance(facts, Facts):
                wanted = f"{self.train} returned {type(facts).__name__}, not Facts"
                raise ValueError(f"{METHODS.called(self.name)}: {wanted}")
            if not math.isfinite(facts.validation_loss):
                raise DivergedError(f"validation loss {facts.validation_loss} after training", config)
        except DivergedError as error:
            raise ValueError(f"{self.name}: {error}") from error
        return facts

    def corpus_settings(self, config: BaseModel) -> Mapping[str, object]:
        """The settings of the corpus that its models need, with these settings of its own.

        Raises:
            ValueError: Its function returned something else, or its models cannot be used.
        """
        return self._called("corpus", self.corpus, config)

    def outside_files(self, config: BaseModel) -> Mapping[str, str]:
        """The digests of the files that training reads from outside the store; `ValueError` if they cannot be used."""
        return {name: str(digest) for name, digest in self._called("outside", self.outside, config).items()}

    def known_circuits(self, config: BaseModel) -> Collection[str] | None:
        """The tasks whose circuits come with its models; `None` if none ever do."""
        if self.circuits is None:
            return None
        found: Collection[str] = resolve(self.circuits)(config)
        return found

    def _called(self, called: str, function: str | None, config: BaseModel) -> Mapping[str, object]:
        """What a function of the record returns for its settings; nothing if it has no such function."""
        found = {} if function is None else resolve(function)(config)
        if not isinstance(found, Mapping):
            wanted = f"{called} {function} returned {type(found).__name__}, not a mapping"
            raise ValueError(f"{METHODS.called(self.name)}: {wanted}")
        return found

    def stated_resources(self, config: BaseModel, shapes: Shapes) -> Resources | None:
        """What the method says that it takes with these settings; `None` if it does not say.

        Raises:
            ValueError: Its function returned something else; the error names the method.
        """
        if self.resources is None:
            return None
        stated = resolve(self.resources)(config, shapes)
        if not isinstance(stated, Resources | None):
            raise ValueError(f"{METHODS.called(self.name)}: {self.resources} returned {type(stated).__name__}")
        return stated

    def run_load(self, folder: "Path", variant: str, needed: Mapping[str, "CircuitModel"]) -> "CircuitModel":
        """Load the circuit model of a trained artifact, checked on a few tokens once per process.

        Raises:
            ValueError: The model breaks the contract of a circuit model; the error names the method.
        """
        from benchmark.model.devices import placed

        model: CircuitModel = placed(resolve(self.load)(folder, variant, needed))
        if (self.load, folder, variant) not in _CHECKED:
            from benchmark.model.checks import check_model

            graphs = next((way.graphs for way in self.variants if way.name == variant), ())
            try:
                check_model(model, graphs)
            except Exception as error:
                what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
                raise ValueError(f"{METHODS.called(self.name)}: {' '.join(what.split())}") from error
            _CHECKED.add((self.load, folder, variant))
        return model


_CHECKED: set[tuple[str, "Path", str]] = set()
"""The artifacts whose models this process has already checked."""


def _check(method: Method) -> None:
    """`ValueError` for a declaration with which the method could never run."""
    if method.name in SECTIONS:
        raise ValueError(f"{method.name} is the name of a section of every preset")
    if not (isinstance(method.config, type) and issubclass(method.config, BaseModel)):
        raise ValueError(f"config is {method.config!r}, not a pydantic model class")
    for name in ("train", "load"):
        if not isinstance(getattr(method, name), str):
            raise ValueError(f"{name} is {getattr(method, name)!r}, not of the form 'module:function'")
    for name in ("resources", "corpus", "outside", "opens", "circuits"):
        if not isinstance(getattr(method, name), str | None):
            raise ValueError(f"{name} is {getattr(method, name)!r}, not of the form 'module:function'")
    for name, reference in method.exports.items():
        if not isinstance(reference, str) or ":" not in reference:
            raise ValueError(f"its export {name!r} is {reference!r}, not of the form 'module:function'")
    if not method.variants:
        raise ValueError("it has no variants")
    for variant in method.variants:
        if not variant.graphs or not set(variant.graphs) <= set(GRAPHS):
            raise ValueError(
                f"variant {variant.name!r} has the graphs {variant.graphs!r}; choose from {', '.join(GRAPHS)}"
            )
    names = [variant.name for variant in method.variants]
    if len(set(names)) < len(names):
        raise ValueError(f"two variants have the same name: {', '.join(names)}")
    if method.role not in get_args(Role):
        raise ValueError(f"role is {method.role!r}; choose from {', '.join(get_args(Role))}")


def _check_outside(method: Method) -> None:
    """`ValueError` for a declaration with which another distribution's method would change the results of ours."""
    if method.role == "reference":
        choices = ", ".join(role for role in get_args(Role) if role != method.role)
        raise ValueError(f"role is 'reference', which would decide the tasks of every method; choose from {choices}")
    if method.family:
        raise ValueError(f"family is {method.family!r}, but shared families are declared in advance; leave it out")


METHODS: Registry[Method] = Registry(
    "method",
    Method,
    functions=("train", "load"),
    check=_check,
    check_outside=_check_outside,
    order=lambda method: (method.role == "control", bool(method.needs), method.name),
    needs=lambda method: method.depends_on,
)
"""Every installed method by name: ours, then other people's; in each group those fitted on others later, nulls last."""


def with_role(role: Role) -> tuple[str, ...]:
    """The installed methods with a role; the leading reference, which is not matched to another, comes first."""
    found = [method for method in METHODS.values() if method.role == role]
    return tuple(method.name for method in sorted(found, key=lambda method: method.matched_to is not None))


def dictionaries() -> tuple[str, ...]:
    """The installed methods that explain another method's model, except controls and those that run only by name."""
    found = (method for method in METHODS.values() if method.explains and not method.by_name)
    return tuple(method.name for method in found if method.role != "control")
