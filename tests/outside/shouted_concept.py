"""An outsider's concept: one function and one line that registers it, from outside our packages."""

from benchmark.concepts import Concept


def shouted(text):
    """The word just read is in capitals.

    Example:
        raise OSError(EOF)
        000000111000001110
    """
    labels = []
    word = ""
    for character in text:
        word = word + character if character.isalnum() else ""
        labels.append(int(word.isupper()))
    return labels


SHOUTED = Concept("shouted", "the word just read is in capitals", shouted, "tests")
