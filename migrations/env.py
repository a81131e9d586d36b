"""Runs the migrations on the connection that `recorder.sql.opening` hands over; nothing else."""

from alembic import context

from recorder.sql.schema import VERSION_TABLE, VIEW_PREFIX, metadata


def _ours(name: str | None, kind: str, _parents: object) -> bool:
    return not (kind == "table" and name is not None and name.startswith(VIEW_PREFIX))


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    include_name=_ours,
)
with context.begin_transaction():
    context.run_migrations()
