"""White cells keep whether the classifier knows looks like theirs."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column; of cells stored before nobody knows."""
    op.add_column("cells", sa.Column("familiar", sa.Boolean(), nullable=True))
