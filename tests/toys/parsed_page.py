"""A page as a test reads it: its elements with their attributes, their text, and what they are inside of."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input"}


@dataclass
class Element:
    """One element; the text is that of all that is inside."""

    tag: str
    attributes: dict
    parents: tuple = ()
    text: str = ""
    inside: list = field(default_factory=list)

    def all(self, tag, **attributes):
        """The elements of a tag inside, with these attributes."""
        return [
            each
            for each in self.inside
            if each.tag == tag and all(each.attributes.get(name) == value for name, value in attributes.items())
        ]

    def classed(self, name):
        """The elements of a class inside."""
        return [each for each in self.inside if name in (each.attributes.get("class") or "").split()]


class ParsedPage(HTMLParser):
    """Parses a page, and fails if its elements are not closed in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.root = Element("root", {})
        self.open = [self.root]
        self.feed(text)
        self.close()
        assert [each.tag for each in self.open] == ["root"]

    def handle_starttag(self, tag, attrs):
        element = Element(tag, dict(attrs), tuple(self.open))
        for each in self.open:
            each.inside.append(element)
        if tag not in VOID and not (tag == "path" or tag == "use"):
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data):
        for each in self.open:
            each.text += data
