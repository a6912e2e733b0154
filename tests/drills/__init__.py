"""Carrier under fire, on real brokers, for minutes.

Drills are run by hand, with bin/drill; docs/reliability.md has what they printed.
"""

#: Where the messages of a drill lie.
QUEUE = "drill_queue"
