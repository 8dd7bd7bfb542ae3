"""Counts of slides, with their labels, survive a restart."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "slide_counts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("slide", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("used", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_slide_counts")),
        sa.UniqueConstraint("slide", "version", name=op.f("uq_slide_counts_slide_version")),
        sqlite_autoincrement=True,
    )
    for name, columns in (
        ("slide_tiles", [sa.Column("results", sa.Text(), nullable=False)]),
        (
            "slide_labels",
            [
                sa.Column("cell", sa.JSON(), nullable=False),
                sa.Column("label", sa.String(length=32), nullable=False),
                sa.Column("reviewer", sa.String(length=200), nullable=False),
                sa.Column("role", sa.String(length=16), nullable=False),
                sa.Column("at", sa.DateTime(), nullable=False),
            ],
        ),
    ):
        op.create_table(
            name,
            sa.Column("id", sa.Integer(), nullable=False),
            sa.Column("count_id", sa.Integer(), nullable=False),
            *columns,
            sa.ForeignKeyConstraint(
                ["count_id"], ["slide_counts.id"], name=op.f(f"fk_{name}_count_id")
            ),
            sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
            sqlite_autoincrement=True,
        )
        op.create_index(op.f(f"ix_{name}_count_id"), name, ["count_id"])
