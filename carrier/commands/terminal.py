"""What commands print for people: tables, and texts of strangers that cannot move the cursor."""

from __future__ import annotations

from collections.abc import Sequence

import click


def plain(text: str) -> str:
    """``text`` without control characters: a terminal obeys them, and a message may hold any."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def lines(text: str) -> str:
    """:func:`plain`, but with its lines."""
    return "\n".join(map(plain, text.splitlines()))


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print columns that are as wide as they must be; numbers stand to the right, None is a dash."""
    texts = [list(head), *(["-" if cell is None else plain(str(cell)) for cell in row] for row in rows)]
    pads = []
    for number, column in enumerate(zip(*rows, strict=True)):
        width = max(len(row[number]) for row in texts)
        is_number = all(cell is None or isinstance(cell, int | float) for cell in column)
        pads.append(f">{width}" if is_number else f"<{width}")
    for row in texts:
        cells = [format(cell, pad) for cell, pad in zip(row, pads or [""] * len(row), strict=True)]
        click.echo("  ".join(cells).rstrip())
