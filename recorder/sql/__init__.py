"""The log in a database: SQLite by default, PostgreSQL by URL; through SQLAlchemy Core."""
