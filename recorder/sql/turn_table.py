"""The read model of turns: what reports and selections ask of every turn there is.

It is kept twice, and both are written together, from the same analysis: `table` has one row a
turn, for selections that ask SQL (`v2v_audible>2s`); `packs` has one row a session with the same
values as columns of numbers, because a report wants all of them, and a hundred thousand rows cost
twenty times what their columns do.

Laws:

1. A metric is its value in milliseconds, or NULL (NaN in a pack): N/A is never 0.
2. `notes` says of every metric how it was come by, or why there is none; so nothing is left out
   without a reason.
3. A row is a function of the session's analysis alone. What can change without an event (the
   time, the name of a call) is not in it.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

import orjson
import sqlalchemy as sa

from recorder.projections.metrics import METRICS, QUALITIES
from recorder.projections.model_values import ESTIMATED, MEASURED, REPORTED, reckoned
from recorder.reporting.configuration import configurations

from .view_tables import metadata

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recorder.projections import Analysis
    from recorder.projections.model import Value

NAMES: Final = (*METRICS, *QUALITIES)
"""Every metric that has a column, in the order of the letters in `notes`."""

WORDS: Final = (
    MEASURED, ESTIMATED, REPORTED, "unanswered", "greeting", "idle_timeout", "text_input",
    "text_only", "function_only", "failed", "open", "cancelled_before_audio", "not_heard", "silent",
    "audio_not_on_this_wire", "no_tools", "no_output", "no_continuation", "no_client_commit",
    "no_client_create", "no_server_vad", "no_user_speech", "no_user_input", "no_transcript",
    "transcript_none", "transcript_failed", "non_realtime_input", "nothing_was_playing",
    "nothing_was_interrupted", "not_stopped", "no_audio", "no_created", "no_trigger",
    "no_input_on_this_wire", "speech_not_found_in_audio", "silence_window_unknown",
    "assistant_was_playing", "nothing_was_played", "no_speech", "offset_beyond_input",
    "playback_not_reported", "padding_unknown", "no_offset",
)  # fmt: skip
"""Labels and reasons that have a letter. Others are kept as well, but spelt out."""

VERSION: Final = f"1.{zlib.crc32(' '.join([*NAMES, '', *WORDS]).encode()):08x}"
"""Of the rows: raised when they mean something else; the names in them are a part of it."""

_LETTERS: Final = {word: chr(ord("A") + place) for place, word in enumerate(WORDS)}
_OF_LETTER: Final = {letter: word for word, letter in _LETTERS.items()}
_NOTHING, _SPELT = "-", "*"
"""In `notes` for a metric that nothing is known of, and one whose word is spelt out."""


def _number() -> sa.Column[int]:
    """A session's number, by which a removed session is taken out."""
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("number", kind, primary_key=True, autoincrement=False)


table: Final = sa.Table(
    "view_turns",
    metadata,
    _number(),
    sa.Column("turn", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("start_ns", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("trigger_by", sa.Text, nullable=False),
    sa.Column("configuration", sa.Text, nullable=False),
    sa.Column("notes", sa.Text, nullable=False),
    *(sa.Column(name, sa.Double) for name in NAMES),
    sa.Column("says", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)
"""`start_ns` is on the session's clock, 0 where it has none. `status` is that of
`projections.model.Turn`: `answered`, `unanswered`, `failed` … `configuration` is a fingerprint;
`says`, what it stands for, is empty where the turn before had the same."""

packs: Final = sa.Table(
    "view_turn_packs",
    metadata,
    _number(),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
    sa.Column("turns", sa.Integer, nullable=False),
    sa.Column("measured", sa.LargeBinary, nullable=False),
    sa.Column("told", sa.Text, nullable=False),
    sa.Column("configurations", sa.Text, nullable=False),
)
"""`measured` holds `PACKED` little-endian doubles a turn, turn after turn; `told` a line a turn:
status, fingerprint and notes between tabs; `configurations` is JSON, what each fingerprint
stands for. `last_seq` is the last event that was looked at."""

TABLES: Final = (table, packs)

PACKED: Final = ("turn", "start_ns", *NAMES)
"""The numbers of a turn in a pack. Doubles hold every nanosecond of a hundred days."""


def rows(number: int, analysis: Analysis) -> list[dict[str, Any]]:
    """The rows of one session for `table`, ready to be inserted."""
    latencies = {each.turn: each.values for each in analysis.latency.turns}
    qualities = {each.turn: each.values for each in analysis.quality.turns}
    made, before = [], ""
    turns = zip(analysis.turns, configurations(analysis.conversation, analysis.turns), strict=True)
    for turn, (fingerprint, says) in turns:
        values = {**latencies.get(turn.index, {}), **qualities.get(turn.index, {})}
        made.append(
            {
                "number": number,
                "turn": turn.index,
                "start_ns": reckoned(turn.start_ns),
                "status": turn.status,
                "trigger_by": turn.trigger,
                "configuration": fingerprint,
                "says": "" if fingerprint == before else _storable(says),
                "notes": written(values),
                **{name: values[name].value_ms if name in values else None for name in NAMES},
            }
        )
        before = fingerprint
    return made


def pack(number: int, last_seq: int, made: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The row for `packs` of a session with these rows."""
    numbers = [float("nan") if row[n] is None else float(row[n]) for row in made for n in PACKED]
    told = ("\t".join((row["status"], row["configuration"], row["notes"])) for row in made)
    says = {row["configuration"]: row["says"] for row in made if row["says"]}
    return {
        "number": number,
        "last_seq": last_seq,
        "turns": len(made),
        "measured": struct.pack(f"<{len(numbers)}d", *numbers),
        "told": "\n".join(told),
        "configurations": orjson.dumps(says).decode(),
    }


def put(
    connection: sa.Connection, number: int, last_seq: int, made: Sequence[Mapping[str, Any]]
) -> None:
    """Store these rows, and their pack, in the place of what was kept of the session."""
    for kept in TABLES:
        connection.execute(sa.delete(kept).where(kept.c.number == number))
    if made:
        connection.execute(sa.insert(table), list(made))
    connection.execute(sa.insert(packs), pack(number, last_seq, made))


def written(values: Mapping[str, Value]) -> str:
    """`notes`: a letter for each metric, for its label or the reason why there is none.

    What has no letter is spelt out behind them, in the same order: `AB*-C;rare_reason`. So notes
    are short, and because turns are alike, there are few different ones.
    """
    letters, spelt = [], []
    for name in NAMES:
        value = values.get(name)
        if value is None:
            letters.append(_NOTHING)
            continue
        word = (value.reason or "unknown") if value.ns is None else value.label
        letters.append(_LETTERS.get(word, _SPELT))
        if word not in _LETTERS:
            spelt.append(word)
    return ";".join(["".join(letters), *spelt])


def understood(notes: str) -> dict[str, str]:
    """What `notes` says of each metric: a label where there is a value, else the reason."""
    letters, *spelt = notes.split(";")
    rest = iter(spelt)
    words = (
        next(rest, "unknown") if letter == _SPELT else _OF_LETTER.get(letter, "unknown")
        for letter in letters
    )
    return dict(zip(NAMES, words, strict=False))


def _storable(text: str) -> str:
    """PostgreSQL takes no NUL, and neither database a lone surrogate."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
