"""The command: ``bin/bench NAME…``."""

from __future__ import annotations

import click

from benchmarks import backups, emails, report

_BENCHMARKS = {"email": emails.run, "backup": backups.run}


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME…", type=click.Choice(list(_BENCHMARKS)))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="How often each system runs.")
@click.option("--rabbitmq", "version", default="3.10", show_default=True, help="Which RabbitMQ: 3.10 or 4.")
@click.option("--report", "is_report", is_flag=True, help="Write docs/performance.md.")
def main(names: tuple[str, ...], rounds: int, version: str, is_report: bool) -> None:
    """Measure Carrier beside its peers: email, backup."""
    for name in names:
        text = _BENCHMARKS[name](rounds, version)
        click.echo(text)
        if is_report:
            report.write(name, text)


if __name__ == "__main__":
    main()
