"""A model of one's own, which is read and not trained: from Hugging Face's or TransformerLens's format."""

from pydantic import Field

from benchmark.methods import Method, Variant
from benchmark.settings import Settings, Tokens


class HookedConfig(Settings):
    """Which model is read."""

    model: str = Field("", max_length=4096)
    """A folder with a causal language model of Hugging Face or a `HookedTransformer`, or the name of one on the Hub."""

    tokenizer: str = Field("", max_length=4096)
    """As `corpus.tokenizer`; that in the model's folder if left out."""

    validation_tokens: Tokens = 100_000
    """Tokens of the validation split over which the loss is measured."""


HOOKED = Method(
    name="hooked",
    summary="A model of your own: --method hooked --set hooked.model=DIR, or the name of one on the Hub.",
    source="TransformerLens, https://github.com/TransformerLensOrg/TransformerLens",
    config=HookedConfig,
    variants=(Variant("native", ("channel", "unit")),),
    train="baselines.hooked.training:train",
    load="baselines.hooked.training:load",
    corpus="baselines.hooked.folders:corpus_settings",
    outside="baselines.hooked.folders:digests",
    resources="baselines.hooked.sizes:resources",
    opens="baselines.hooked.training:opened",
    by_name=True,
)
