"""Fields keep the warnings about their scale and their reading."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column; fields stored before have no warnings."""
    op.add_column("fields", sa.Column("warnings", sa.JSON(), nullable=False, server_default="[]"))
