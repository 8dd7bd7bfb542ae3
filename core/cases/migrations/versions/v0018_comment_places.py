"""Comments may belong to a place in a slide."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add the columns; comments so far have no place."""
    op.add_column("comments", sa.Column("slide", sa.String(length=64), nullable=True))
    op.add_column("comments", sa.Column("place", sa.JSON(), nullable=True))
    op.create_index(op.f("ix_comments_slide"), "comments", ["slide"])
