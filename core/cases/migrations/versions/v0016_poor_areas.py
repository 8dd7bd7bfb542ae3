"""Cells keep why the part of the slide around them is poor."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the column; nothing is known of the surroundings of stored cells."""
    op.add_column("cells", sa.Column("poor_area", sa.String(length=64), nullable=True))
