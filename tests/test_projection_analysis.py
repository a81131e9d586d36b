"""The projections as a whole: one pass for all of them, prefixes, JSON, the table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

import orjson
import pytest

from recorder.events import Event
from recorder.projections import PROJECTIONS, Analyser, analyse, fold, scan
from tests.building import Talk
from tests.captured import captured, names

CALL = Talk().open().mic(0, 5200, speech=[(500, 2000), (3000, 3900)], chunk=100)
CALL.heard(2250, "U1", start=200, end=2200).answer(2300, "R1", "A1", [(2600, 2000)], text="Long.")
CALL.heard(4150, "U2", start=2700, end=4100, began=3100).transcript(4300, "U2", "Stop.")
CALL.client(3150, "conversation.item.truncate", item_id="A1", audio_end_ms=500)
CALL.created(4200, "R2").calls(4300, "R2", "F", "c").done(4310, "R2").output(4500, "c")
CALL.answer(4600, "R3", "A3", [(4800, 200), (5100, 200)], text="Done.").close(5500)

VIEWS = [name for name in PROJECTIONS if name not in ("usage", "state")]


@pytest.mark.parametrize("name", PROJECTIONS)
def test_scanning_gives_what_folding_a_prefix_gives(name: str) -> None:
    """After every event; asking for a result in between changes nothing."""
    events = CALL.events
    for count, (_, result) in enumerate(scan(PROJECTIONS[name](), events), 1):
        if count % 7 == 0 or count == len(events):
            assert result == fold(PROJECTIONS[name](), events[:count])


@pytest.mark.parametrize("name", VIEWS)
def test_one_pass_gives_what_each_projection_gives(name: str) -> None:
    """Side by side they see the same as alone."""
    assert getattr(analyse(CALL.source), name) == fold(PROJECTIONS[name](), CALL.events)


@pytest.mark.parametrize("name", PROJECTIONS)
def test_every_result_is_json(name: str) -> None:
    """As it stands, without help."""
    assert orjson.loads(orjson.dumps(fold(PROJECTIONS[name](), CALL.events))) is not None


@pytest.mark.parametrize("name", PROJECTIONS)
def test_every_projection_of_nothing_is_something(name: str) -> None:
    """A session of no events."""
    assert orjson.dumps(fold(PROJECTIONS[name](), [])) not in (b"null", b"")


def test_the_audio_is_read_only_where_it_is_asked_for() -> None:
    """`detect=False` says so to the store."""
    asked = []

    def source(audio: bool) -> Iterable[Event]:
        asked.append(audio)
        return CALL.source(audio)

    analyse(source)
    analyse(source, detect=False)
    assert asked == [True, False]


def test_analysis_has_every_view_of_the_table() -> None:
    """What can be folded by name can be had from the analysis."""
    assert set(VIEWS) <= {field.name for field in fields(analyse(CALL.source))}


@pytest.mark.parametrize("name", names())
def test_real_sessions_are_analysed_to_the_end(name: str) -> None:
    """Every capture: results that are JSON, and no turn left out."""
    events = captured(name)
    found = analyse(lambda audio: events)
    for view in VIEWS:
        orjson.dumps(getattr(found, view))
    assert found.turns
    assert all(turn.status == "answered" for turn in found.turns)


def test_events_may_be_fed_one_by_one() -> None:
    """As they arrive in a live session."""
    analyser = Analyser()
    for event in CALL.events:
        analyser.feed(event)
    assert analyser.analysis().turns == analyse(CALL.source).turns
