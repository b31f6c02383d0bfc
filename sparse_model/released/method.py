"""The models released with Gao et al. 2025 as a method, declared without torch."""

from pathlib import Path

from pydantic import Field, model_validator

from benchmark.methods import Method
from benchmark.settings import Name, Settings, Size
from sparse_model.method import NATIVE
from sparse_model.released.config import CHECKPOINT, CONFIG, TINYPYTHON, read_config
from sparse_model.released.files import circuit_files, digest_of

LONGEST_PATH = 4096
"""Most characters of a path."""


class ReleasedSettings(Settings):
    """Which released model, and which of its circuits."""

    path: str = Field("", max_length=LONGEST_PATH)
    """Folder of the model: `beeg_config.json` and `final_model.pt`."""

    tokenizer: str = Field("", max_length=LONGEST_PATH)
    """Folder of its tokenizer: `tokenizer.json`, or `encoder.json` and `vocab.bpe`; that of the model if left out."""

    circuits: str = Field("", max_length=LONGEST_PATH)
    """Folder with a folder per task, in or below which is the `viz_data.pt` of a circuit; none if left out."""

    folders: dict[Name, Name] = Field(default_factory=dict, max_length=1000)
    """By task, the folder of its circuit below `circuits`, where its name does not tell or there are several."""

    means: str = Field("", max_length=LONGEST_PATH)
    """File with the ablation values that come with the model, `mean_baseline_pretrain.pt`; measured if left out."""

    validation_windows: Size = 1024
    """Number of validation windows, from the first, on which the loss is measured."""

    @model_validator(mode="after")
    def _has_a_model(self) -> "ReleasedSettings":
        if not self.path:
            raise ValueError(f"path is missing; name the folder of the model with {CONFIG} and {CHECKPOINT}")
        if self.folders and not self.circuits:
            raise ValueError("folders are folders below circuits, which is missing")
        return self

    @property
    def circuit_files(self) -> dict[str, Path]:
        """The files of its circuits, by task; `ValueError` with the choices if they cannot be told."""
        return circuit_files(Path(self.circuits), self.folders) if self.circuits else {}


RELEASED = Method(
    name="released",
    summary="A model released with the paper, as it is: --set released.path=DIR; its circuits: released.circuits=DIR.",
    source="Gao et al. 2025, https://github.com/openai/circuit_sparsity",
    config=ReleasedSettings,
    variants=NATIVE,
    train="sparse_model.released.artifact:train",
    load="sparse_model.released.artifact:load",
    by_name=True,
    corpus="sparse_model.released.method:corpus_settings",
    outside="sparse_model.released.method:outside_files",
    opens="sparse_model.released.artifact:opened",
)


def corpus_settings(config: ReleasedSettings) -> dict[str, object]:
    """The settings of the corpus for a released model: its tokenizer, and at most as many positions as it has.

    Raises:
        ValueError: There is no such model, or its tokenizer is neither there nor known.
    """
    model = read_config(Path(config.path))
    tokenizer = Path(config.tokenizer or config.path)
    if model.tokenizer_name != TINYPYTHON and not (tokenizer / "tokenizer.json").is_file():
        raise ValueError(
            f"{Path(config.path) / CONFIG}: the tokenizer {model.tokenizer_name!r:.100} is not known; name a folder "
            "with its tokenizer.json by released.tokenizer"
        )
    return {"tokenizer": str(tokenizer), "context": model.block_size}


def outside_files(config: ReleasedSettings) -> dict[str, str]:
    """The digests of the files of a released model and of its circuits."""
    files = {name: Path(config.path) / name for name in (CONFIG, CHECKPOINT)}
    files |= {f"circuit {task}": file for task, file in config.circuit_files.items()}
    if config.means:
        files["means"] = Path(config.means)
    return {name: digest_of(file) for name, file in files.items()}
