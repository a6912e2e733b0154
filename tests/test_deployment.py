"""The files by which others start Carrier name commands, settings and files that there are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

import carrier
from carrier.commands import COMMANDS
from settings import Settings

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_procfile_and_compose_start_commands_that_there_are() -> None:
    started = [line.partition(": ")[2].split() for line in (ROOT / "Procfile").read_text().splitlines()]
    started += [service["command"] for service in COMPOSE["services"].values() if "command" in service]
    assert [words[0] for words in started] == ["carrier"] * 6
    assert {words[1] for words in started} == {"worker", "scheduler", "web"} <= set(COMMANDS)


def test_compose_sets_settings_that_there_are() -> None:
    known = {name.upper() for name in Settings.model_fields}
    for name in ("worker", "scheduler", "web"):
        assert set(COMPOSE["services"][name]["environment"]) <= known


def test_every_service_starts_again_and_no_port_is_open_to_others() -> None:
    for service in COMPOSE["services"].values():
        assert service["restart"] == "unless-stopped"
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_image_gets_every_package() -> None:
    copied = set(re.findall(r"^COPY (\S+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    packages = {path.parent.name for path in ROOT.glob("*/py.typed")}
    assert copied == packages == {"actors", "carrier", "scheduler"}
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied <= let_in


def test_each_name_of_the_package_can_be_imported_from_it() -> None:
    code = f"from carrier import {', '.join(carrier.__all__)}\nimport carrier\nassert connect() and carrier.connect()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_readme_names_every_setting() -> None:
    """Those that belong together stand in one row."""
    text = (ROOT / "README.md").read_text()
    alone = {name.upper() for name in Settings.model_fields if not name.startswith("rabbitmq_")} - {"CONFIG"}
    assert {name for name in alone if f"`{name}`" not in text} == set()
