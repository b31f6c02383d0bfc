"""A null baseline: random directions after every block, as many as an SAE has and as sparse, nothing trained."""

from baselines.config import SAE_LENS, VARIANTS, WidthConfig
from benchmark.methods import Method

RANDOM_DICTIONARY = Method(
    name="random_dictionary",
    summary="Random unit directions after every block, as many as an SAE has and as sparse; nothing is trained.",
    source="a null baseline of this benchmark",
    config=WidthConfig,
    variants=VARIANTS,
    train="baselines.random_dictionary.fitting:train",
    load="baselines.replaced_stream:load_stream",
    resources="baselines.resources:resources_random",
    exports=SAE_LENS,
    needs=("dense",),
    explains="dense",
    role="control",
)
