"""One e-mail over a connection: MAIL, RCPT, DATA (RFC 5321, section 3.3), and what the server says of each recipient.

smtplib's own keeps neither what accepted recipients were told, nor apart what was refused before the connection was
lost, and it sends one command at a time where the server would take them together (RFC 2920).
"""

from __future__ import annotations

import contextlib
import re
import smtplib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from actors.email.address import Mailbox
from actors.email.connection import TIMEOUT, line, socket_of
from actors.email.trouble import Misconfigured, ServerAway, Unusable
from carrier.store.deliveries import Reply, State

#: Seconds for the answer to the whole e-mail. Who gives up here may have it sent twice (RFC 5321, section 4.5.3.2.6).
FINISHING = 300.0
#: "Authentication required", and what else is said to who has not logged in as he should (RFC 4954, section 6).
_NOT_LOGGED_IN = (530, 534, 535, 538)
_DOT = re.compile(rb"^\.", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Letter:
    """An e-mail to some recipients.

    Attributes:
        compose: its bytes; called with whether headers may hold addresses in UTF-8 (RFC 6532).
        is_international: whether such an address is among its own, in a header or not.
    """

    sender: Mailbox
    recipients: Sequence[Mailbox]
    compose: Callable[[bool], bytes]
    is_international: bool = False

    def mail(self, smtp: smtplib.SMTP) -> tuple[_Mail, dict[str, Reply]]:
        """What can be handed to this server, and who is refused because of what it lacks."""
        knows_utf8 = smtp.has_extn("smtputf8")
        everybody = [each.address for each in self.recipients]
        if not knows_utf8 and not self.sender.is_ascii:
            return _Mail("", [], b""), dict.fromkeys(everybody, _needs_utf8("the sender"))
        refused = {each.address: _needs_utf8("it") for each in self.recipients if not (knows_utf8 or each.is_ascii)}
        data = self.compose(knows_utf8)
        most = smtp.esmtp_features.get("size", "")
        if most.isdecimal() and 0 < int(most) < len(data):  # RFC 1870
            large = Reply(State.REFUSED, f"the e-mail has {len(data)} bytes, and the mail server takes {most}")
            return _Mail("", [], b""), dict.fromkeys(everybody, large)
        left = [each for each in everybody if each not in refused]
        return _Mail(self.sender.address, left, data, knows_utf8 and self.is_international), refused


def _needs_utf8(who: str) -> Reply:
    return Reply(State.REFUSED, f"{who} has an address that is not ASCII, and the mail server cannot do SMTPUTF8")


@dataclass(frozen=True, slots=True)
class _Mail:
    """What goes over one connection; ``is_utf8`` says that SMTPUTF8 is asked for (RFC 6531)."""

    sender: str
    recipients: Sequence[str]
    data: bytes
    is_utf8: bool = False


@dataclass(frozen=True, slots=True)
class _Answer:
    code: int
    text: str

    @property
    def is_good(self) -> bool:
        return 200 <= self.code < 300

    @property
    def reply(self) -> Reply:
        state = State.ACCEPTED if self.is_good else State.REFUSED if self.code >= 500 else State.LATER
        return Reply(state, self.text)


def hand_over(smtp: smtplib.SMTP, letter: Letter) -> dict[str, Reply]:
    """Send ``letter``; what the server says of each recipient. The connection is closed unless it can be used again.

    Raises:
        ServerAway: it ended the conversation; what it had said before is kept in the error.
        Misconfigured: it wants a login first.
    """
    try:
        mail, refused = letter.mail(smtp)
    except BaseException:
        smtp.close()
        raise
    if not mail.recipients:
        return refused
    heard: dict[str, Reply] = {}
    dialogue = _Dialogue(smtp, mail)
    try:
        _converse(smtp, dialogue, mail, heard)
        if not dialogue.is_over and smtp.sock is not None:
            _forget(smtp)
    except (OSError, smtplib.SMTPException) as error:
        smtp.close()
        text = str(error) or type(error).__name__
        raise ServerAway(" ".join(text.split())[:500], begun=dialogue.has_begun, heard=heard) from None
    except BaseException as error:
        smtp.close()
        if isinstance(error, Unusable):
            error.begun, error.heard = dialogue.has_begun, heard
        raise
    return {**refused, **heard}


def _converse(smtp: smtplib.SMTP, dialogue: _Dialogue, mail: _Mail, heard: dict[str, Reply]) -> None:
    sender = dialogue.ask(0)
    if not sender.is_good and not dialogue.is_pipelined:
        heard.update(dict.fromkeys(mail.recipients, sender.reply))
        return
    accepted = []
    for number, recipient in enumerate(mail.recipients, 1):
        answer = dialogue.ask(number)
        if not sender.is_good:
            heard[recipient] = sender.reply
        elif answer.is_good:
            accepted.append(recipient)
        else:
            heard[recipient] = answer.reply
    if not accepted and not dialogue.is_pipelined:
        return
    answer = dialogue.ask(len(mail.recipients) + 1)
    if answer.code == 354:
        if not sender.is_good:
            smtp.close()  # it forgets what has no end, and must not take it
            return
        # With nobody left, which it cannot know before DATA, the end alone is sent (RFC 2920, section 3.1).
        dialogue.finish(mail.data if accepted else b"")
        answer = dialogue.last()
    elif answer.is_good:
        raise ServerAway(f"it answers DATA with {answer.text}")
    heard.update(dict.fromkeys(accepted, answer.reply))


class _Dialogue:
    """Commands, sent together where the server takes them so, and the answer to each."""

    def __init__(self, smtp: smtplib.SMTP, mail: _Mail) -> None:
        options = f" SIZE={len(mail.data)}" if smtp.has_extn("size") else ""
        options += " SMTPUTF8 BODY=8BITMIME" if mail.is_utf8 else ""
        commands = [f"MAIL FROM:<{mail.sender}>{options}", *(f"RCPT TO:<{each}>" for each in mail.recipients), "DATA"]
        self._commands = [f"{each}\r\n".encode() for each in commands]
        self._smtp = smtp
        self._is_sent = False
        self.is_pipelined = smtp.has_extn("pipelining")
        #: Whether some of the body may have reached the server, with no word of it since.
        self.has_begun = False
        #: Whether the server has forgotten this e-mail.
        self.is_over = False

    def ask(self, number: int) -> _Answer:
        """The answer to a command."""
        if not self.is_pipelined:
            self._send(self._commands[number])
        elif not self._is_sent:
            self._send(b"".join(self._commands))
            self._is_sent = True
        answer = self._hear()
        expected = 354 if number == len(self._commands) - 1 else 250
        if not 200 <= answer.code < 600 or (300 <= answer.code < 400 and answer.code != expected):
            raise ServerAway(f"its answer is none: {answer.text}")
        if answer.code in _NOT_LOGGED_IN:
            raise Misconfigured(f"it answers with {answer.text}; put user and password into SMTP_URL")
        return answer

    def finish(self, data: bytes) -> None:
        """Send the body and its end. A line that begins with a dot gets another one (section 4.5.2)."""
        self.has_begun = bool(data)
        if data.startswith(b".") or b"\n." in data:
            data = _DOT.sub(b"..", data)
        self._send(data + b".\r\n")

    def last(self) -> _Answer:
        """The answer to the whole."""
        socket_of(self._smtp).settimeout(FINISHING)
        answer = self._hear()
        if not 200 <= answer.code < 300 and not 400 <= answer.code < 600:
            raise ServerAway(f"its answer is none: {answer.text}")
        self.has_begun, self.is_over = False, True
        socket_of(self._smtp).settimeout(TIMEOUT)
        return answer

    def _send(self, data: bytes) -> None:
        socket_of(self._smtp).sendall(data)

    def _hear(self) -> _Answer:
        code, said = self._smtp.getreply()
        answer = _Answer(code, line(code, said))
        if code == 421:
            self.has_begun = False  # it says so in place of taking the e-mail
            raise ServerAway(f"it answers with {answer.text}")
        return answer


def _forget(smtp: smtplib.SMTP) -> None:
    """Have the server forget an e-mail that came to nothing, so that the next one can begin."""
    with contextlib.suppress(OSError, smtplib.SMTPException):
        if smtp.rset()[0] == 250:
            return
    smtp.close()
