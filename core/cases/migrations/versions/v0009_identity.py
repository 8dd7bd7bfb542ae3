"""Users are known by issuer and subject of their sign-in; sign-ins can be ended."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the columns, empty: a user is bound with the next sign-in by a verified address."""
    for name in ("issuer", "subject"):
        op.add_column("people", sa.Column(name, sa.String(length=255), nullable=True))
    op.create_index(op.f("ix_people_issuer_subject"), "people", ["issuer", "subject"], unique=True)
    op.create_table(
        "ended_sessions",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_ended_sessions")),
    )
