"""The tables of the log, and how a database of ours is recognised.

One packed 64-bit key orders all events: 31 bits of session number above 32 bits of sequence
number. It writes about as fast as a composite key, reads twice as fast, and makes a session one
contiguous range. Session numbers are local to a database and never reused; the UUID is the name.
`audio` stands last, so that reading without it never touches it.

The last event of each committed group carries the `digest` of the group (`recorder.chain`). In a
table of their own the digests would cost every commit a second page: a fifth of the rate of
groups of 16, and twice the disk traffic of a single call.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterable

APPLICATION_ID: Final = 0x52544652
"""`PRAGMA application_id` of our SQLite files: "RTFR"."""

VERSION_TABLE: Final = "recorder_version"
"""Where alembic keeps the revision; a name of our own, because a database may be shared."""

VIEW_PREFIX: Final = "view_"
"""Read models are made and dropped by code; their tables are no part of the schema."""

SEQ_BITS: Final = 32
SEQ_MASK: Final = (1 << SEQ_BITS) - 1

metadata = sa.MetaData()

# SQLite makes only an INTEGER PRIMARY KEY an alias of its rowid.
_key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("number", _key, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(36), nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("vantage", sa.Text, nullable=False),
    sa.Column("capture", sa.Text, nullable=False),
    sa.Column("call", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("headers", sa.Text, nullable=False),
    sa.Column("recorder", sa.String(36), nullable=False),
    sa.Column("wall_ns", sa.BigInteger, nullable=False),
    sa.Column("mono_ns", sa.BigInteger, nullable=False),
    sa.Column("versions", sa.Text, nullable=False),
    sa.Column("labels", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("key", _key, primary_key=True, autoincrement=False),
    sa.Column("at_ns", sa.BigInteger, nullable=False),
    sa.Column("origin", sa.SmallInteger, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("opcode", sa.SmallInteger, nullable=False),
    sa.Column("digest", sa.LargeBinary),
    sa.Column("head", sa.LargeBinary, nullable=False),
    sa.Column("meta", sa.Text),
    sa.Column("audio", sa.LargeBinary),
)

recorders = sa.Table(
    "recorders",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("boot_id", sa.Text, nullable=False),
    sa.Column("started_ns", sa.BigInteger, nullable=False),
    sa.Column("lease_ns", sa.BigInteger, nullable=False),
)

FINGERPRINTS: Final = {
    "0001": "2a448029fddd427c",
}
"""By revision: what `fingerprint` gives for a SQLite file that has it. Newest last."""

SERVER_FINGERPRINTS: Final = {
    "0001": "19bbb9dd19dea172",
}
"""The same for PostgreSQL."""

HEAD: Final = list(FINGERPRINTS)[-1]
"""The revision that this code reads and writes."""


def pack(number: int, seq: int) -> int:
    """The key of an event from the number of its session and its sequence number."""
    return number << SEQ_BITS | seq


_OURS = f"""
    m.name NOT LIKE 'sqlite!_%' ESCAPE '!' AND m.name <> '{VERSION_TABLE}'
    AND m.tbl_name NOT LIKE '{VIEW_PREFIX.replace("_", "!_")}%' ESCAPE '!'
"""

SHAPE: Final = f"""
    SELECT m.type || ' ' || m.name || CASE WHEN m.type <> 'table' THEN ' ' || m.sql ELSE
        ' ' || (instr(upper(m.sql), 'AUTOINCREMENT') > 0) || (instr(upper(m.sql), 'CHECK') > 0)
        || (instr(upper(m.sql), 'REFERENCES') > 0) || (instr(upper(m.sql), 'ROWID') > 0)
        || (instr(upper(m.sql), 'COLLATE') > 0) || (instr(upper(m.sql), 'CONFLICT') > 0) END
    FROM sqlite_master AS m WHERE {_OURS}
    UNION ALL
    SELECT m.name || ' column ' || p.cid || ' ' || p.name || ' ' || upper(p.type) || ' '
        || p."notnull" || ' ' || p.pk || ' ' || p.hidden || ' ' || coalesce(p.dflt_value, '')
    FROM sqlite_master AS m JOIN pragma_table_xinfo(m.name) AS p WHERE m.type = 'table' AND {_OURS}
    UNION ALL
    SELECT m.name || ' index ' || i."unique" || ' ' || i.origin || ' ' || i.partial
        || ' ' || c.seqno || ' ' || coalesce(c.name, '')
    FROM sqlite_master AS m JOIN pragma_index_list(m.name) AS i JOIN pragma_index_info(i.name) AS c
    WHERE m.type = 'table' AND {_OURS}
"""
"""A line for each table, column, index, trigger and view of a SQLite file.

Facts rather than the text of CREATE TABLE, which differs between versions of SQLAlchemy.
"""

_NAMES = ", ".join(f"'{name}'" for name in metadata.tables)

SERVER_SHAPE: Final = f"""
    WITH ours AS (SELECT oid AS of, relname FROM pg_class WHERE relname IN ({_NAMES})
        AND relnamespace = current_schema()::regnamespace)
    SELECT relname || ' column ' || attname || ' ' || format_type(atttypid, atttypmod) || ' '
        || attnotnull || ' ' || attgenerated::text
    FROM ours JOIN pg_attribute ON attrelid = ours.of WHERE attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT relname || ' index ' || indisunique || ' ' || indisprimary || ' ' || (
        SELECT string_agg(attname, ',' ORDER BY attname) FROM pg_attribute
        WHERE attrelid = indrelid AND attnum = ANY (indkey))
    FROM ours JOIN pg_index ON indrelid = ours.of
    UNION ALL
    SELECT relname || ' trigger ' || tgname FROM ours JOIN pg_trigger ON tgrelid = ours.of
    WHERE NOT tgisinternal
"""
"""The same of the tables of ours in a PostgreSQL schema, which may hold others too."""


def fingerprint(lines: Iterable[tuple[str]]) -> str:
    """A hash of a SQLite file's schema from the rows of `SHAPE`."""
    text = "\n".join(sorted(line for (line,) in lines))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
