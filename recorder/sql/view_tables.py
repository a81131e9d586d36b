"""The tables of the read models. `read_models` makes, fills and drops them.

They are no part of the schema: no migration knows of them. Their names begin with `VIEW_PREFIX`;
those that tell of sessions have a column `number`, by which `recorder.sql.erasing` takes a
removed session out of them. The turns are in `turn_table`.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

stamps = sa.Table(
    "view_stamps",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("version", sa.Text, nullable=False),
)
"""Which version of the code made each read model."""


def _number() -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("number", kind, primary_key=True, autoincrement=False)


outlines = sa.Table(
    "view_sessions",
    metadata,
    _number(),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("duration_ns", sa.BigInteger),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("tags", sa.Text, nullable=False),
    sa.Column("turns", sa.Integer, nullable=False),
    sa.Column("errors", sa.Integer, nullable=False),
    sa.Column("findings", sa.Integer, nullable=False),
    sa.Column("lost", sa.BigInteger, nullable=False),
)
"""One small row a session: the columns of `ls`."""

labels = sa.Table(
    "view_labels",
    metadata,
    _number(),
    sa.Column("kind", sa.String(8), primary_key=True),
    sa.Column("label", sa.Text, primary_key=True),
    sa.Index("view_labels_by_label", "kind", "label"),
    sqlite_with_rowid=False,
)
"""Models, tags, call and error codes of each session, folded: what globs are held against."""

texts = sa.Table(
    "view_texts",
    metadata,
    _number(),
    sa.Column("text", sa.Text, nullable=False),
)
"""The transcript of each session as `recorder.selecting.searching` makes it; see `text_index`."""

ids = sa.Table(
    "view_ids",
    metadata,
    _number(),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Index("view_ids_by_id", "id"),
    sqlite_with_rowid=False,
)
"""Every id that was seen in a session, and the event that had it first."""

ids_read = sa.Table(
    "view_ids_read",
    metadata,
    _number(),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
)
"""How far each session was read for ids."""
