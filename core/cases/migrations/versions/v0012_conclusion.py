"""Signatures keep the conclusion that was signed."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the column; signatures given before have no conclusion."""
    op.add_column(
        "signatures", sa.Column("conclusion", sa.Text(), nullable=False, server_default="")
    )
