"""``carrier schema``: the JSON Schemas of what travels."""

from __future__ import annotations

import json

import click


@click.command("schema")
@click.argument("type", required=False)
def command(type: str | None) -> None:
    """Print the JSON Schemas of the envelope and of every payload, or that of the payload of TYPE alone."""
    from carrier.messaging.application import load
    from carrier.monitor.schema import schemas

    found = schemas(load())
    if type is not None:
        if type not in found["payloads"]:
            raise click.ClickException(
                f"no type {type!r} has a payload model; there are: {', '.join(found['payloads'])}"
            )
        found = found["payloads"][type]
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))
