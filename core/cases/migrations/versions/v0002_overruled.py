"""Fields that were analysed against the input gate keep its reason."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; fields stored before were never analysed against the gate."""
    op.add_column("fields", sa.Column("overruled", sa.Text(), nullable=True))
