"""Texts that users are still writing on a case are kept."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "unfinished_texts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sample_id", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(length=200), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('conclusion', 'comment')", name=op.f("ck_unfinished_texts_kind")
        ),
        sa.ForeignKeyConstraint(
            ["sample_id"], ["samples.id"], name=op.f("fk_unfinished_texts_sample_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unfinished_texts")),
        sa.UniqueConstraint(
            "sample_id", "author", "kind", name=op.f("uq_unfinished_texts_sample_id_author_kind")
        ),
        sqlite_autoincrement=True,
    )
