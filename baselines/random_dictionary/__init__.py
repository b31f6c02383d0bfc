"""A null baseline: random directions after every block, as many as an SAE has and as sparse, nothing trained."""

from baselines.config import WidthConfig
from benchmark.methods import Method, Variant


class RandomDictionaryConfig(WidthConfig):
    """Settings of the random dictionary: the width and L0 of the SAEs that it is compared with."""


RANDOM_DICTIONARY = Method(
    name="random_dictionary",
    summary="Random unit directions after every block, as many as an SAE has and as sparse; nothing is trained.",
    source="a null baseline of this benchmark",
    config=RandomDictionaryConfig,
    variants=(Variant("errors_ablated", ("unit",)), Variant("errors_available", ("unit",), ranked=False)),
    train="baselines.random_dictionary.fitting:train",
    load="baselines.replacement:load_stream",
    needs=("dense",),
    explains="dense",
    role="control",
)
