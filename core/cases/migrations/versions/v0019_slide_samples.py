"""Samples say which count of a slide they hold."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the columns; samples so far do not say it."""
    op.add_column("samples", sa.Column("slide", sa.String(length=64), nullable=True))
    op.add_column("samples", sa.Column("slide_version", sa.String(length=64), nullable=True))
    op.create_index(op.f("ix_samples_slide_slide_version"), "samples", ["slide", "slide_version"])
