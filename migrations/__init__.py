"""The schema's history, applied by alembic when a database is opened."""
