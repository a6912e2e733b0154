"""Carrier under fire, on real brokers, for minutes.

Drills are run by hand, with bin/drill; docs/reliability.md has what they printed.
"""

#: Where the messages of a drill lie.
QUEUE = "drill_queue"
#: More schedules than a drill has: a fire time's message is counted as its second times this + its schedule's number.
SCHEDULES = 10_000
