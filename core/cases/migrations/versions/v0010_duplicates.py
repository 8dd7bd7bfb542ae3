"""Cells that another field shows too are marked; fields keep what they are compared by."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the columns; nothing is known of fields and cells stored before."""
    op.add_column(
        "cells", sa.Column("duplicate", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("fields", sa.Column("pixels", sa.String(length=64), nullable=True))
    op.add_column("fields", sa.Column("fingerprint", sa.JSON(none_as_null=True), nullable=True))
    op.create_index(op.f("ix_fields_pixels"), "fields", ["pixels"])
