"""The speed table as a picture: of each row with rates a bar for each system, and how many times Carrier is as fast."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from benchmarks.row import Row

#: Units of the picture's own width, which is scaled to that of its page.
_WIDTH, _NAMES, _BARS = 860, 210, 420
_LINE, _GAP, _TITLE = 18, 14, 22
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 } .what { font-weight: 600 } .name { text-anchor: end }
rect { fill: #b6bec9 } .own { fill: #0a7d5a } .back { fill: #ffffff }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } rect { fill: #57606a } .own { fill: #2fbf8f } .back { fill: #0d1117 }
}
"""


def svg(rows: list[Row], below: str) -> str:
    """The picture of those rows whose unit is messages/s.

    Parameters:
        below: a line of text about machine and versions.
    """
    parts: list[str] = []
    y = _GAP
    for row in rows:
        if row.unit == "messages/s":
            parts.extend(_group(row, y))
            y += _TITLE + len(row.figures) * _LINE + _GAP
    y += _LINE
    parts.append(_text(_GAP, y - 4, below))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + _GAP}" role="img">'
    label = "<title>Messages a second, Carrier beside its peers</title>"
    back = f'<rect class="back" width="{_WIDTH}" height="{y + _GAP}"/>'
    return "\n".join([head, label, f"<style>{_STYLE}</style>", back, *parts, "</svg>", ""])


def _group(row: Row, y: int) -> Iterator[str]:
    yield _text(_GAP, y + 13, f"{row.what}, {row.where}", "what")
    own, most = row.median(row.goals[0].system), max(row.median(each) for each in row.figures)
    for place, name in enumerate(row.figures):
        at, rate = y + _TITLE + place * _LINE, row.median(name)
        length = max(1, round(_BARS * rate / most))
        kind = ' class="own"' if name.startswith("Carrier") else ""
        ratio = "" if name.startswith("Carrier") else f" (Carrier {own / rate:.2g} times)"
        yield _text(_NAMES - 6, at + 12, name, "name")
        yield f'<rect{kind} x="{_NAMES}" y="{at + 2}" width="{length}" height="{_LINE - 5}" rx="2"/>'
        yield _text(_NAMES + length + 6, at + 12, f"{rate:,.0f}{ratio}")


def _text(x: int, y: int, text: str, kind: str = "") -> str:
    return f'<text{f" class={kind!r}" if kind else ""} x="{x}" y="{y}">{escape(text)}</text>'
