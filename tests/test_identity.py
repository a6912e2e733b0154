"""Ids are UUIDs of version 7, and no two are equal, whichever process makes them."""

from __future__ import annotations

import os
import random
import time
from itertools import pairwise
from uuid import RFC_4122, UUID

from carrier.messaging.identity import new_id, new_mark


def test_an_id_is_a_uuid_of_version_7_with_its_time() -> None:
    before = time.time_ns() // 1_000_000
    ids = [UUID(new_id()) for _ in range(1_000)]
    after = time.time_ns() // 1_000_000
    assert {(each.version, each.variant) for each in ids} == {(7, RFC_4122)}
    assert all(before <= each.int >> 80 <= after for each in ids)
    assert all(one.int >> 80 <= two.int >> 80 for one, two in pairwise(ids))
    # Each of the 74 bits of chance is now this and now that.
    fixed = (0xF << 76) | (0x3 << 62)
    ones = zeros = 0
    for each in ids:
        ones |= each.int
        zeros |= ~each.int
    assert (ones & zeros | fixed) & (2**80 - 1) == 2**80 - 1
    assert not ones & zeros & fixed


def test_a_forked_child_makes_other_ids() -> None:
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writing, "\n".join([*(new_id()[14:] for _ in range(100)), *(new_mark() for _ in range(100))]).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        theirs = set(pipe.read().split("\n"))
    os.waitpid(child, 0)
    ours = {new_id()[14:] for _ in range(100)} | {new_mark() for _ in range(100)}
    assert len(theirs) == len(ours) == 200
    assert not theirs & ours


def test_an_application_that_seeds_the_random_module_repeats_no_id() -> None:
    random.seed(1)
    first = {new_id()[14:], new_mark()}
    random.seed(1)
    assert not first & {new_id()[14:], new_mark()}
