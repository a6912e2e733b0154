"""The command: ``bin/bench [NAME…]``."""

from __future__ import annotations

import click

from benchmarks import backups, emails, report, table

_SECTIONS = {"email": emails.run, "backup": backups.run}
_ROWS = [*table.ON_RABBITMQ, *table.ALONE]


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME…]", type=click.Choice([*_ROWS, *_SECTIONS]))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="How often each system runs.")
@click.option("--rabbitmq", "versions", multiple=True, default=["3.10", "4"], show_default=True, help="Which RabbitMQ.")
@click.option("--report", "is_report", is_flag=True, help="Write docs/performance.md.")
def main(names: tuple[str, ...], rounds: int, versions: tuple[str, ...], is_report: bool) -> None:
    """Measure Carrier beside its peers; every row of the table without a NAME."""
    rows = list(table.measure([name for name in names or _ROWS if name in _ROWS], rounds, list(versions)))
    if rows:
        click.echo(table.markdown(rows))
        if is_report:
            report.write_rows(rows)
    for name in names:
        if name in _SECTIONS:
            text = _SECTIONS[name](rounds, versions[0])
            click.echo(text)
            if is_report:
                report.write_section(name, text)


if __name__ == "__main__":
    main()
