"""The command: ``bin/bench [NAME…]``."""

from __future__ import annotations

import click

from benchmarks import backups, cluster, emails, growth, profiles, report, table

_SECTIONS = {
    "growth": growth.run,
    "cluster": cluster.run,
    "profile": profiles.run,
    "email": emails.run,
    "backup": backups.run,
}
#: What all of it is without a NAME; the others need servers of their own, and have their own documents.
_USUAL = ("growth", "cluster", "profile")
_ROWS = [*table.ON_RABBITMQ, *table.ALONE]


@click.command(epilog="Names: " + ", ".join((*_ROWS, *_SECTIONS)))
@click.argument("names", nargs=-1, metavar="[NAME…]", type=click.Choice([*_ROWS, *_SECTIONS]))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="How often each system runs.")
@click.option("--rabbitmq", "versions", multiple=True, default=["3.10", "4"], show_default=True, help="Which RabbitMQ.")
@click.option("--report", "is_report", is_flag=True, help="Write docs/performance.md.")
def main(names: tuple[str, ...], rounds: int, versions: tuple[str, ...], is_report: bool) -> None:
    """Measure Carrier beside its peers; without a NAME all rows of the table, and how cost grows."""
    names = names or (*_ROWS, *_USUAL)
    rows = []
    for row in table.measure([name for name in names if name in _ROWS], rounds, list(versions)):
        rows.append(row)
        if is_report:  # each at once: all of them take an hour
            report.write_row(row)
    if rows:
        click.echo(table.markdown(rows))
        click.echo(table.reasons(rows))
    for name in names:
        if name in _SECTIONS:
            text = _SECTIONS[name](rounds, list(versions))
            click.echo(text)
            if is_report:
                report.write_section(name, text)


if __name__ == "__main__":
    main()
