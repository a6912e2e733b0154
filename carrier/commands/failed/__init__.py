"""``carrier failed``: look at failed messages, send them back, edit, archive, or throw them away."""

from __future__ import annotations

import click

from carrier.commands.failed import archiving, editing, looking, mending


class _InOrder(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group("failed", cls=_InOrder)
def command() -> None:
    """Look at failed messages, send them back, edit, archive, or throw them away."""


for each in (
    looking.show_list,
    looking.show_groups,
    looking.show_one,
    mending.retry,
    editing.edit,
    mending.discard,
    archiving.archive,
    archiving.restore,
    archiving.export,
):
    command.add_command(each)
