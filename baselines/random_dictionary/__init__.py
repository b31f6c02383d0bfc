"""A null: random directions after every block, as many as an SAE has and as sparse, nothing trained."""

from baselines.config import WidthConfig
from benchmark.methods import Method, Variant


class RandomDictionaryConfig(WidthConfig):
    """Settings of the random dictionary: the width and the L0 of the SAEs that it stands beside."""


RANDOM_DICTIONARY = Method(
    name="random_dictionary",
    summary="Random unit directions after every block, as many as an SAE has and as sparse; nothing is trained.",
    source="a null of this benchmark",
    config=RandomDictionaryConfig,
    variants=(Variant("errors_ablated", ("unit",)), Variant("errors_available", ("unit",), ranked=False)),
    train="baselines.random_dictionary.fitting:train",
    load="baselines.replacement:load_stream",
    needs=("dense",),
    explains="dense",
    role="control",
)
