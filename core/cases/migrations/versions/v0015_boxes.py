"""Reviews keep what they did and changed, so that boxes are moved, split and restored exactly."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the columns; of reviews stored before, only their label is known."""
    action = sa.Column("action", sa.String(length=16), nullable=False, server_default="label")
    op.add_column("reviews", action)
    op.add_column("reviews", sa.Column("undoes", sa.Integer(), nullable=True))
    op.add_column("reviews", sa.Column("changed", sa.JSON(none_as_null=True), nullable=True))
