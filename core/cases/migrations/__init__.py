"""Migrations, run by Alembic whenever the case database is opened."""
