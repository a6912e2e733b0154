"""The text of an HTML e-mail, for programs and people that read no HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser

#: What is not read.
_HIDDEN = {"head", "script", "style", "template", "title", "noscript"}
#: What stands on lines of its own, and what has an empty line around it too.
_LINES = {"address", "article", "aside", "div", "dd", "dt", "figcaption", "footer", "form", "header", "li", "main"}
_LINES |= {"nav", "section", "tr"}
_PARAGRAPHS = {"blockquote", "dl", "fieldset", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ol", "p", "pre"}
_PARAGRAPHS |= {"table", "ul"}

#: Targets that somebody can follow from a text.
_TARGETS = ("http:", "https:", "mailto:", "tel:")


def plain_text(html: str) -> str:
    """The text of ``html``: paragraphs, lists and links are kept apart, as far as text can."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.text()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._written: list[str] = []
        self._hidden = 0
        self._pre = 0
        #: The target of the link that is open, and where its text begins.
        self._link: tuple[str, int] | None = None

    def text(self) -> str:
        lines = "\n".join(line.rstrip(" ") for line in "".join(self._written).split("\n"))
        return re.sub(r"\n{3,}", "\n\n", lines).strip("\n").replace("\N{NO-BREAK SPACE}", " ")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in _HIDDEN:
            self._hidden += 1
        self._space(tag)
        match tag:
            case "br":
                self._written.append("\n")
            case "hr":
                self._written.append("---\n\n")
            case "li":
                self._written.append("- ")
            case "td" | "th":
                self._written.append(" ")
            case "pre":
                self._pre += 1
            case "img" if given.get("alt") and not self._hidden:
                self._written.append(f"[{given['alt']}]")
            case "a":
                self._link = given.get("href") or "", len(self._written)
            case "body":
                self._hidden = 0  # the end of a head may be left out

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        if tag == "pre":
            self._pre = max(0, self._pre - 1)
        if tag == "a" and self._link is not None:
            target, began = self._link
            said, self._link = "".join(self._written[began:]).strip(), None
            if target.startswith(_TARGETS) and target.partition(":")[2].strip("/") not in said:
                self._written.append(f" ({target})" if said else target)
        self._space(tag)

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if not self._pre:
            data = re.sub(r"[ \t\r\n\f]+", " ", data)
            if data.startswith(" ") and (not self._written or self._written[-1].endswith(("\n", " "))):
                data = data[1:]
        if data:
            self._written.append(data)

    def _space(self, tag: str) -> None:
        if self._hidden:
            return
        if tag in _PARAGRAPHS:
            self._written.append("\n\n")
        elif tag in _LINES and self._written and not self._written[-1].endswith("\n"):
            self._written.append("\n")
