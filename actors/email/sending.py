"""One e-mail to all who have not got it yet, and what becomes of its message then.

What the server says of a recipient is written down before anything else happens, and looked up before every sending:
whatever dies, is redelivered or is tried again, who has it gets it no second time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from actors.email import pool, reporting
from actors.email.address import Mailbox
from actors.email.server import Server
from actors.email.transaction import Letter
from actors.email.trouble import Unusable
from carrier.messaging.errors import Deferred, PermanentError, TemporaryError
from carrier.store import deliveries
from carrier.store.deliveries import Reply, State
from carrier.store.errors import StoreUnavailable

logger = logging.getLogger(__name__)

#: Milliseconds before those are asked again that said "later": greylists want minutes.
_LATER = 5 * 60_000
#: Seconds for which it is tried to write a reply down, and between two tries.
_RECORDING, _PAUSE = 30.0, 1.0


def send(message_id: str, letter: Letter, servers: Sequence[Server]) -> None:
    """Send to each recipient who has neither accepted nor refused it yet.

    Raises:
        PermanentError: all have refused it, for good.
        TemporaryError: some are to be asked again, or it was lost on its way.
        Deferred: no server can be used now.
    """
    with deliveries.sending():
        known = _send(message_id, letter, servers)
    _conclude(message_id, {each.address: known[each.address] for each in letter.recipients})


def _send(message_id: str, letter: Letter, servers: Sequence[Server]) -> Mapping[str, Reply]:
    known = _look_up(message_id)
    reporting.only(servers)
    troubles = []
    for server in servers:
        left = _left(letter, known)
        if not left:
            break
        try:
            replies = pool.pool.send(server, replace(letter, recipients=left))
        except Unusable as error:
            _record(message_id, error.heard)
            known.update(error.heard)
            if error.begun:
                raise TemporaryError(f"{server}: it was lost while it took the e-mail: {error}") from None
            troubles.append(f"{server}: {error}")
            reporting.trouble(server, str(error))
        else:
            _record(message_id, replies)
            known.update(replies)
            reporting.well(server)
            break
    else:
        if _left(letter, known):
            raise Deferred("; ".join(troubles))
    return known


def _left(letter: Letter, known: Mapping[str, Reply]) -> list[Mailbox]:
    final = {who for who, reply in known.items() if reply.state is not State.LATER}
    return [each for each in letter.recipients if each.address not in final]


def _look_up(message_id: str) -> dict[str, Reply]:
    try:
        return deliveries.known(message_id)
    except StoreUnavailable as error:
        raise Deferred(f"it cannot be looked up who has it: {error}") from None


def _record(message_id: str, replies: Mapping[str, Reply]) -> None:
    if not replies:
        return
    until = time.monotonic() + _RECORDING
    while True:
        try:
            deliveries.record(message_id, replies)
            return
        except StoreUnavailable as error:
            if time.monotonic() >= until:
                # It has been sent: to fail now would have it sent again.
                logger.error("e-mail %s: it cannot be written down who has it: %s", message_id, error)
                return
            time.sleep(_PAUSE)  # a store says nothing when it is back


def _conclude(message_id: str, replies: Mapping[str, Reply]) -> None:
    later, refused = (
        [f"{who}: {reply.text}" for who, reply in replies.items() if reply.state is state]
        for state in (State.LATER, State.REFUSED)
    )
    if later:
        raise TemporaryError(f"not yet for {len(later)} of {len(replies)}: {_some(later)}", least=_LATER)
    if len(refused) == len(replies):
        raise PermanentError(f"refused: {_some(refused)}")
    if refused:
        logger.warning("e-mail %s: refused for %d of %d: %s", message_id, len(refused), len(replies), _some(refused))


def _some(texts: Sequence[str]) -> str:
    more = f"; and {len(texts) - 5} more" if len(texts) > 5 else ""
    return "; ".join(texts[:5]) + more
