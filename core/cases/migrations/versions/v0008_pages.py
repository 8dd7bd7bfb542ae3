"""Fields keep the page of their file, so that a file may bring several."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_OLD, _NEW = "(sample_id, sha256)", "(sample_id, sha256, page)"
_NAME = "uq_fields_sample_id_sha256"


def upgrade() -> None:
    """Add the column; of every file stored before, the first image was read."""
    page = sa.Column("page", sa.Integer(), nullable=False, server_default="1")
    op.add_column("fields", page)
    if op.get_bind().dialect.name == "sqlite":
        _make_again()
    else:
        op.drop_constraint(op.f(_NAME), "fields")
        op.create_unique_constraint(
            op.f(f"{_NAME}_page"), "fields", ["sample_id", "sha256", "page"]
        )


def _make_again() -> None:
    """Make the table again with the wider constraint, which SQLite cannot change in place.

    Renaming would point the foreign keys and triggers of other tables elsewhere, so the rows wait
    in a temporary table.
    """
    connection = op.get_bind()
    schema = connection.execute(
        sa.text("SELECT type, sql FROM sqlite_master WHERE tbl_name = 'fields' AND sql IS NOT NULL")
    ).all()
    (table,) = (sql for kind, sql in schema if kind == "table")
    last_id = connection.execute(
        sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'fields'")
    ).scalar()
    for statement in (
        "PRAGMA defer_foreign_keys = ON",
        "CREATE TEMPORARY TABLE fields_kept AS SELECT * FROM fields",
        "DROP TABLE fields",
        table.replace(_NAME, f"{_NAME}_page").replace(_OLD, _NEW),
        "INSERT INTO fields SELECT * FROM fields_kept",
        "DROP TABLE fields_kept",
        *(sql for kind, sql in schema if kind != "table"),
    ):
        connection.exec_driver_sql(statement)
    # Ids of deleted fields are not given again.
    connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = 'fields'")
    connection.execute(
        sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES ('fields', :last)"),
        {"last": last_id or 0},
    )
