"""Suspected blasts are blasts, a type that the model knows too; cells keep their subtype.

Reviews are never changed: those stored before keep the former label, and readers translate it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_CELLS = sa.table("cells", sa.column("label", sa.String()))


def upgrade() -> None:
    """Rename the label that counts, and add the column; old cells have no subtype."""
    op.execute(sa.update(_CELLS).where(_CELLS.c.label == "suspected_blast").values(label="blast"))
    op.add_column("cells", sa.Column("subtype", sa.String(length=32), nullable=True))
