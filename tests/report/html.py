"""The page as a person who can't see it gets it: elements in order, and what they say."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

EMPTY = {"img", "line", "link", "meta", "polyline", "wbr"}  # elements that have no end


@dataclass
class Element:
    """An element of the page, with all the text in it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""
    inner: list["Element"] = field(default_factory=list)

    def all(self, *tags: str) -> list["Element"]:
        """Those in it with one of these tags."""
        return [
            found
            for child in self.inner
            for found in ([child] if child.tag in tags else []) + child.all(*tags)
        ]

    def words(self) -> str:
        """Its text, white space as one space."""
        return " ".join(self.text.split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inner.append(element)
        if tag not in EMPTY:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].inner.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> ends nothing"

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def read(page: str) -> Element:
    """The page; every element that begins in it ends in it."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    (root,) = reader.open
    return root
