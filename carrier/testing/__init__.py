"""For the tests of applications: nothing leaves the test, and messages are handled when it says so.

In conftest.py: ``pytest_plugins = ["carrier.testing.plugin"]``, and then::

    def test_a_welcome_is_sent(inbox):
        register("ada@example.com")
        [sent] = inbox.sent("email")
        assert sent.payload["to"] == "ada@example.com"
        inbox.drain()

Without pytest: ``with Inbox(broker) as inbox: …``.
"""

from carrier.testing.inbox import Inbox, Sent

__all__ = ["Inbox", "Sent"]
