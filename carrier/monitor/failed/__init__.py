"""Failed messages: looked at where they lie, grouped, sent back, edited, archived, or thrown away.

failed_queue is the only truth. What lies there is untrusted like anything that comes off a queue: whatever it is, it is
shown and kept.
"""

from carrier.monitor.failed import archive, editing
from carrier.monitor.failed.looking import Found, Group, count, find, groups, look
from carrier.monitor.failed.mending import Mended, discard, retry
from carrier.monitor.failed.message import FailedMessage
from carrier.monitor.failed.selection import Counted, Filter

__all__ = [
    "Counted",
    "FailedMessage",
    "Filter",
    "Found",
    "Group",
    "Mended",
    "archive",
    "count",
    "discard",
    "editing",
    "find",
    "groups",
    "look",
    "retry",
]
