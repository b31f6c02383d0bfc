"""The models released with Gao et al. 2025 as a method, declared without torch."""

from pydantic import Field, model_validator

from benchmark.methods import Method
from benchmark.settings import Name, Settings, Size
from sparse_model.method import NATIVE
from sparse_model.released.config import CHECKPOINT, CONFIG

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


RELEASED = Method(
    name="released",
    summary="A model released with the paper, as it is: --set released.path=DIR; its circuits: released.circuits=DIR.",
    source="Gao et al. 2025, https://github.com/openai/circuit_sparsity",
    config=ReleasedSettings,
    variants=NATIVE,
    train="sparse_model.released.artifact:train",
    load="sparse_model.released.artifact:load",
    resources="sparse_model.released.outside:resources",
    by_name=True,
    corpus="sparse_model.released.outside:corpus_settings",
    outside="sparse_model.released.outside:digests",
    circuits="sparse_model.released.outside:tasks_with_circuits",
    opens="sparse_model.released.artifact:opened",
)
