"""The command: ``bin/bench NAME…``."""

from __future__ import annotations

import click

from benchmarks import emails


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME…", type=click.Choice(["email"]))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="How often each system runs.")
@click.option("--rabbitmq", "version", default="3.10", show_default=True, help="Which RabbitMQ: 3.10 or 4.")
def main(names: tuple[str, ...], rounds: int, version: str) -> None:
    """Measure Carrier beside its peers."""
    results = emails.run(rounds, version)
    for result in results:
        ratios = ", ".join(
            f"{result.rate / each.rate:.2f} x {each.system.name}" for each in results if each is not result
        )
        click.echo(f"{result.system.name:24} median {result.rate:6.0f}/s ({ratios})")


if __name__ == "__main__":
    main()
