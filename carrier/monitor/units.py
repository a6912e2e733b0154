"""Numbers with a unit, as people read them."""

from __future__ import annotations

_SPANS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def size(number: float) -> str:
    """Bytes, in powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def span(seconds: float) -> str:
    """A length of time in its largest unit."""
    for name, length in _SPANS:
        if seconds >= length:
            return f"{int(seconds / length)} {name}"
    return f"{seconds * 1000:.0f} ms"
