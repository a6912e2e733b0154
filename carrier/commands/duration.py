"""A time that is given to a command as people write it."""

from __future__ import annotations

import re
from typing import Any

import click

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Duration(click.ParamType[float]):
    """Seconds, from 30s, 10m, 2h or 1d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d{1,12}(?:\.\d+)?)(ms|[smhd])?", value)
        if found is None:
            self.fail(f"{value!r} is not a duration; write 30s, 10m, 2h or 1d", param, ctx)
        return float(found[1]) * _UNITS[found[2] or ""]
