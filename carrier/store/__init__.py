"""What is remembered beside the messages themselves: in SQLite or PostgreSQL, by SQLAlchemy and Alembic."""
