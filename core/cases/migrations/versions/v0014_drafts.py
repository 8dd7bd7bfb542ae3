"""Uploads are drafts from the first file on; fields keep the scale of their file's header."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the table; patients of a draft belong to it. No header's scale is known of old fields."""
    op.create_table(
        "drafts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=True),
        sa.Column("owner", sa.String(length=200), nullable=True),
        sa.Column("made", sa.DateTime(), nullable=False),
        sa.Column("used", sa.DateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drafts")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_drafts_secret_hash")),
        sqlite_autoincrement=True,
    )
    # By hand: alembic adds no column with a foreign key to a table of SQLite.
    op.execute(
        "ALTER TABLE patients ADD COLUMN draft_id INTEGER"
        " CONSTRAINT fk_patients_draft_id REFERENCES drafts (id)"
    )
    op.create_index(op.f("ix_patients_draft_id"), "patients", ["draft_id"])
    op.add_column("fields", sa.Column("header_scale", sa.Double(), nullable=True))
