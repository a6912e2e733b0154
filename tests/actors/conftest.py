"""Handlers are called as from a plain script: no broker, settings of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from settings import Settings, read_settings


@pytest.fixture(autouse=True)
def each_trouble_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another test's mail server may have had the same port a moment ago."""
    monkeypatch.setattr("actors.email.reporting._PAUSE", 0.0)
    monkeypatch.setattr("actors.email.reporting._only", ())


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """``settings("toml text", NAME="value")``: what a process with that carrier.toml and environment would read."""

    def make(toml: str = "", **environment: str) -> Settings:
        path = tmp_path / "carrier.toml"
        path.write_text(toml)
        monkeypatch.setenv("CARRIER_CONFIG", str(path))
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return read_settings()

    return make
