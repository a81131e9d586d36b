"""Conversation order from `previous_item_id`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recorder.projections.order import ROOT, Order


def test_what_says_nothing_goes_to_the_end() -> None:
    """Arrival is the order where no chain is."""
    order = Order()
    for item in "abc":
        order.put(item)
    assert list(order) == ["a", "b", "c"]


def test_an_item_follows_what_it_names() -> None:
    """Also into the middle, and to the front."""
    order = Order()
    for item, previous in [("a", ""), ("c", "a"), ("b", "a"), ("z", ROOT)]:
        order.put(item, previous)
    assert list(order) == ["z", "a", "b", "c"]


def test_an_item_that_came_too_early_moves_behind_what_it_named() -> None:
    """Events of one conversation may come out of order."""
    order = Order()
    order.put("b", "a")
    order.put("x")
    order.put("a")
    assert list(order) == ["x", "a", "b"]


def test_a_place_by_arrival_gives_way_to_a_place_by_chain() -> None:
    """But a null that comes later moves nothing, and neither does a second chain."""
    order = Order()
    for item, previous in [("a", ""), ("c", ""), ("b", ""), ("b", "a"), ("b", ""), ("b", "c")]:
        order.put(item, previous)
    assert list(order) == ["a", "b", "c"]


def test_a_final_id_takes_the_place_of_a_provisional_one() -> None:
    """The server names what the client did not."""
    order = Order()
    for item in ("a", "tmp", "c"):
        order.put(item)
    order.rename("tmp", "b")
    assert list(order) == ["a", "b", "c"]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["", ROOT, *"abcdef"]))))
def test_every_item_stands_exactly_once(puts: list[tuple[str, str]]) -> None:
    """Whatever chains are claimed, circles included."""
    order = Order()
    for item, previous in puts:
        order.put(item, previous)
    assert sorted(order) == sorted({item for item, _ in puts})
