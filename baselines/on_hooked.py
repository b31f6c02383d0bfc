"""Our dictionaries on a model of one's own: the same methods, fitted to what `hooked` reads instead of to `dense`."""

from dataclasses import replace

from baselines.clt import CLT
from baselines.random_dictionary import RANDOM_DICTIONARY
from baselines.sae import SAE
from baselines.transcoder import TRANSCODER
from benchmark.methods import Method


def _on_hooked(method: Method, what: str) -> Method:
    """A method that is fitted to `dense` as one that is fitted to `hooked`, with its settings in every preset."""
    name = f"{method.name}_on_hooked"
    return replace(
        method,
        name=name,
        summary=f"{what}: --method {name} --set hooked.model=DIR; settings as those of {method.name}.",
        needs=("hooked",),
        explains="hooked",
        family="",
        sweep=(),
        by_name=True,
        settings_of=method.name,
    )


SAE_ON_HOOKED = _on_hooked(SAE, "SAEs that are fitted to a model of your own")
TRANSCODER_ON_HOOKED = _on_hooked(TRANSCODER, "Transcoders that are fitted to a model of your own")
CLT_ON_HOOKED = _on_hooked(CLT, "A cross-layer transcoder that is fitted to a model of your own")
RANDOM_DICTIONARY_ON_HOOKED = _on_hooked(RANDOM_DICTIONARY, "Random directions in a model of your own")
