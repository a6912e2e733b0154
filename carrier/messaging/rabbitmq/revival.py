"""What was delayed goes on at once after a restart of RabbitMQ 3.

That starts its queues before it knows how they are bound. What expires in a delay queue at that moment has no route; it
is tried again after ``dead_letter_worker_publisher_confirm_timeout``, 180 s, and what is behind it waits as long. But
when the policies of a queue change it looks at once, so one that limits nothing is set and taken away again. RabbitMQ 4
knows its bindings from the first moment; what it has published to a queue that was not there yet, which is little, is
published again after that time on both, and no policy changes it.
"""

from __future__ import annotations

import logging
import threading

from carrier.messaging.errors import BrokerUnavailable
from carrier.messaging.rabbitmq.management import Management

logger = logging.getLogger(__name__)

POLICY = "carrier-delay-revival"
_PATTERN = r"^carrier\.delay\."
#: More messages than any queue has. An operator's own policy goes before ours, and there is one policy for a queue.
_DEFINITION, _PRIORITY = {"max-length": 10**12}, -10


#: Seconds before each try: a node that has just started is slow to answer.
_PAUSES = (1, 3, 5, 10, 20)


def revive(management: Management, ended: threading.Event) -> None:
    """Have the delay queues of a virtual host look for their routes; tried again until ``ended``, or for 40 s."""
    why = ""
    for pause in _PAUSES:
        if ended.wait(pause):
            return
        try:
            management.set_policy(POLICY, _PATTERN, _DEFINITION, priority=_PRIORITY)
            management.delete_policy(POLICY)
        except BrokerUnavailable as error:
            why = str(error)
        else:
            logger.info("the delay queues go on")
            return
    logger.warning("what is delayed may stand still for 3 minutes: %s", why)
