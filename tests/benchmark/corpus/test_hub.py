"""Files of models on the Hub: the newest, those in the cache without a connection, and what is said otherwise."""

import huggingface_hub
import pytest
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

from benchmark.corpus.hub import from_hub


class NoModelError(RepositoryNotFoundError):
    def __init__(self):
        Exception.__init__(self, "404")


class GatedError(GatedRepoError):
    def __init__(self):
        Exception.__init__(self, "403")


@pytest.fixture
def hub(monkeypatch):
    """Lets the Hub answer with an error, if it is given one; the list of what was downloaded."""
    asked, answers = [], []

    class Api:
        def model_info(self, name, timeout):
            if answers:
                raise answers[0]

    def download(name, file, local_files_only):
        asked.append((name, file, local_files_only))
        if file == "missing.json":
            raise LocalEntryNotFoundError("not there")
        return f"/cache/{name}/{file}"

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    from_hub.cache_clear()
    yield asked, answers
    from_hub.cache_clear()


def test_a_file_is_fetched_once(hub):
    asked, _ = hub
    assert str(from_hub("someone/model", "config.json", "no")) == "/cache/someone/model/config.json"
    from_hub("someone/model", "config.json", "no")
    assert asked == [("someone/model", "config.json", False)]


def test_without_a_connection_the_file_in_the_cache_is_taken(hub):
    asked, answers = hub
    answers.append(ConnectionError("no route to host"))
    assert from_hub("someone/model", "config.json", "no").name == "config.json"
    assert asked == [("someone/model", "config.json", True)]


@pytest.mark.parametrize(
    ("answer", "file", "said"),
    [
        (NoModelError(), "config.json", "no: the Hub has no public model of that name"),
        (GatedError(), "config.json", "no: the model is gated; run `hf auth login` after its owner gave you access"),
        (None, "missing.json", "no: the model has no missing.json"),
        (
            ConnectionError("no route\nto host"),
            "missing.json",
            "no: the Hub does not answer, and the file is not in the cache (ConnectionError: no route to host)",
        ),
    ],
)
def test_what_keeps_a_file_from_being_fetched_is_told_apart(hub, answer, file, said):
    if answer is not None:
        hub[1].append(answer)
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the whole message is compared
        from_hub("someone/model", file, "no")
    assert str(refused.value) == said
