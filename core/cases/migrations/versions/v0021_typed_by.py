"""Cells keep which version of the classifier typed them again."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add the column; of cells that were typed again before, the version is not known."""
    op.add_column("cells", sa.Column("typed_by", sa.String(length=64), nullable=True))
