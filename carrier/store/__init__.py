"""What is remembered beside the messages themselves: in SQLite, by SQLAlchemy and Alembic."""
