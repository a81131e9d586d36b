"""The log: sessions, events with their digest chain, recorders with their lease."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """From an empty database."""
    op.create_table(
        "sessions",
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
    op.create_table(
        "events",
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
    op.create_table(
        "recorders",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("boot_id", sa.Text, nullable=False),
        sa.Column("started_ns", sa.BigInteger, nullable=False),
        sa.Column("lease_ns", sa.BigInteger, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Audio does not compress: keep it out of line and as it is.
        op.execute("ALTER TABLE events ALTER COLUMN audio SET STORAGE EXTERNAL")


def downgrade() -> None:
    """Back to an empty database: everything that was recorded is gone."""
    for name in ("recorders", "events", "sessions"):
        op.drop_table(name)
