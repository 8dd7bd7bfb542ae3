"""Alembic's entry: migrates over the connection that `core.cases.database` hands it."""

from alembic import context

from core.cases.orm import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
