"""The names of sessions."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from recorder.events import new_session_id

WALL = st.integers(0, 1 << 62)


@given(WALL, st.binary(min_size=10, max_size=10))
def test_ids_are_uuids_of_version_seven(wall_ns: int, random: bytes) -> None:
    """As RFC 9562 lays them out, the milliseconds first."""
    made = uuid.UUID(new_session_id(wall_ns, random))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == wall_ns // 1_000_000 % (1 << 48)


@given(WALL, st.integers(250, 10**12), st.binary(min_size=10, max_size=10))
def test_ids_sort_as_they_were_made(wall_ns: int, later: int, random: bytes) -> None:
    """Within a millisecond too, down to a quarter of a microsecond."""
    assert new_session_id(wall_ns, random) < new_session_id(wall_ns + later, bytes(10)) or (
        (wall_ns + later) // 10**6 >= 1 << 48
    )
