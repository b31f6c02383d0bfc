"""Files of models on the Hub of Hugging Face, in the cache of its client."""

from functools import cache
from pathlib import Path

PATIENCE = 10.0
"""Seconds within which the Hub has to answer whether it has a model; a download would try again for a minute."""


@cache
def from_hub(name: str, file: str, refused: str) -> Path:
    """A file of a model on the Hub, in the cache; its newest version if the Hub answers, else the one in the cache.

    Args:
        name: Name of the model.
        file: Name of the file.
        refused: How the message begins if there is no such file.

    Raises:
        ValueError: It cannot be fetched, and why, in one line.
    """
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RepositoryNotFoundError

    offline = ""
    try:
        HfApi().model_info(name, timeout=PATIENCE)
    except GatedRepoError:
        raise ValueError(
            f"{refused}: the model is gated; run `hf auth login` after its owner gave you access"
        ) from None
    except RepositoryNotFoundError:
        raise ValueError(f"{refused}: the Hub has no public model of that name") from None
    except Exception as error:  # whatever the network raises
        offline = f"the Hub does not answer, and the file is not in the cache ({_line(error)})"
    try:
        return Path(hf_hub_download(name, file, local_files_only=bool(offline)))
    except EntryNotFoundError:
        raise ValueError(f"{refused}: {offline or f'the model has no {file}'}") from None
    except Exception as error:  # whatever the network raises
        raise ValueError(f"{refused}: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
