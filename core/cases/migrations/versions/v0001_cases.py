"""The first schema: patients to reviews, signatures, comments, links, people, the audit trail."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NO_AUDIT = "entries of the audit trail are never changed or deleted"
_NO_REVIEW = "reviews are never changed or deleted"

# Reviews go only together with their patient, and only once the audit trail says so.
_ERASED = """EXISTS (
    SELECT 1 FROM cells
    JOIN fields ON fields.id = cells.field_id
    JOIN samples ON samples.id = fields.sample_id
    JOIN audit ON audit.patient_id = samples.patient_id AND audit.action = 'delete patient'
    WHERE cells.id = OLD.cell_id
)"""

_SQLITE_TRIGGERS = f"""
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, '{_NO_AUDIT}'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, '{_NO_AUDIT}'); END;
CREATE TRIGGER reviews_no_update BEFORE UPDATE ON reviews
BEGIN SELECT RAISE(ABORT, '{_NO_REVIEW}'); END;
CREATE TRIGGER reviews_no_delete BEFORE DELETE ON reviews WHEN NOT {_ERASED}
BEGIN SELECT RAISE(ABORT, '{_NO_REVIEW}'); END;
"""

_POSTGRESQL_TRIGGERS = f"""
CREATE FUNCTION forbid_audit() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE integrity_constraint_violation USING MESSAGE = '{_NO_AUDIT}'; END $$;
CREATE FUNCTION forbid_review() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE integrity_constraint_violation USING MESSAGE = '{_NO_REVIEW}'; END $$;
CREATE FUNCTION forbid_review_unless_erased() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
    IF {_ERASED} THEN RETURN OLD; END IF;
    RAISE integrity_constraint_violation USING MESSAGE = '{_NO_REVIEW}';
END $$;
CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit
FOR EACH ROW EXECUTE FUNCTION forbid_audit();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION forbid_audit();
CREATE TRIGGER reviews_no_update BEFORE UPDATE ON reviews
FOR EACH ROW EXECUTE FUNCTION forbid_review();
CREATE TRIGGER reviews_no_delete BEFORE DELETE ON reviews
FOR EACH ROW EXECUTE FUNCTION forbid_review_unless_erased();
CREATE TRIGGER reviews_no_truncate BEFORE TRUNCATE ON reviews
FOR EACH STATEMENT EXECUTE FUNCTION forbid_review();
"""


def upgrade() -> None:
    """Make all tables and the triggers that keep reviews and audit trail append-only."""
    _make_tables()
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_POSTGRESQL_TRIGGERS)
    else:
        for statement in _SQLITE_TRIGGERS.split("END;")[:-1]:
            op.execute(f"{statement}END")


def _where(condition: str) -> dict[str, Any]:
    """Limit an index to the rows of a condition, in both dialects' words."""
    return {
        "sqlite_where": sa.text(condition.format(false="0")),
        "postgresql_where": sa.text(condition.format(false="false")),
    }


def _make_tables() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("person", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=True),
        sa.Column("sample_id", sa.Integer(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_patient_id_id"), "audit", ["patient_id", "id"])
    op.create_index(op.f("ix_audit_sample_id_id"), "audit", ["sample_id", "id"])
    op.create_table(
        "patients",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("identifier", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=True),
        sa.Column("sex", sa.String(length=16), nullable=True),
        sa.Column("birth_year", sa.Integer(), nullable=True),
        sa.Column("search", sa.Text(), nullable=False),
        sa.Column("changed_by", sa.String(length=200), nullable=False),
        sa.Column("changed_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patients")),
        sa.UniqueConstraint("identifier", name=op.f("uq_patients_identifier")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "people",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.CheckConstraint("role IN ('viewer', 'reviewer', 'admin')", name=op.f("ck_people_role")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_people")),
    )
    op.create_table(
        "samples",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column("taken", sa.Date(), nullable=False),
        sa.Column("material", sa.String(length=32), nullable=False),
        sa.Column("white_cell_count", sa.Double(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changed_by", sa.String(length=200), nullable=False),
        sa.Column("changed_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint(
            "state IN ('draft', 'reviewed', 'signed')", name=op.f("ck_samples_state")
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patients.id"], name=op.f("fk_samples_patient_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_samples")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_samples_patient_id_taken_id"), "samples", ["patient_id", "taken", "id"]
    )
    op.create_table(
        "comments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sample_id", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(length=200), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["sample_id"], ["samples.id"], name=op.f("fk_comments_sample_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comments")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_comments_sample_id_id"), "comments", ["sample_id", "id"])
    op.create_table(
        "fields",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sample_id", sa.Integer(), nullable=False),
        sa.Column("picture", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("properties", sa.JSON(), nullable=False),
        sa.Column("micrometres_per_pixel", sa.Double(), nullable=True),
        sa.Column("scale_source", sa.String(length=32), nullable=True),
        sa.Column("refused", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("stage", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("other_cells", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["sample_id"], ["samples.id"], name=op.f("fk_fields_sample_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fields")),
        sa.UniqueConstraint("sample_id", "sha256", name=op.f("uq_fields_sample_id_sha256")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_fields_picture"), "fields", ["picture"])
    op.create_table(
        "links",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sample_id", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("author", sa.String(length=200), nullable=False),
        sa.Column("made", sa.DateTime(), nullable=False),
        sa.Column("expires", sa.DateTime(), nullable=False),
        sa.Column("revoked", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["sample_id"], ["samples.id"], name=op.f("fk_links_sample_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_links")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_links_token_hash")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_links_sample_id_id"), "links", ["sample_id", "id"])
    op.create_table(
        "signatures",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sample_id", sa.Integer(), nullable=False),
        sa.Column("reviewer", sa.String(length=200), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("void", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sample_id"], ["samples.id"], name=op.f("fk_signatures_sample_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signatures")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_signatures_sample_id_id"), "signatures", ["sample_id", "id"])
    op.create_table(
        "cells",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("field_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("x", sa.Double(), nullable=False),
        sa.Column("y", sa.Double(), nullable=False),
        sa.Column("width", sa.Double(), nullable=False),
        sa.Column("height", sa.Double(), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=True),
        sa.Column("probabilities", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("detection_score", sa.Double(), nullable=False),
        sa.Column("attributes", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("label", sa.String(length=32), nullable=True),
        sa.Column("reviewer", sa.String(length=200), nullable=True),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.CheckConstraint("origin IN ('model', 'person')", name=op.f("ck_cells_origin")),
        sa.ForeignKeyConstraint(["field_id"], ["fields.id"], name=op.f("fk_cells_field_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cells")),
        sa.UniqueConstraint("field_id", "number", name=op.f("uq_cells_field_id_number")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_cells_reviewed",
        "cells",
        ["reviewer", "confidence", "id"],
        **_where("label IS NOT NULL"),
    )
    op.create_index(
        "ix_cells_waiting",
        "cells",
        ["confidence", "id"],
        **_where("label IS NULL AND closed IS {false}"),
    )
    op.create_index(
        "ix_cells_waiting_type",
        "cells",
        ["type", "confidence", "id"],
        **_where("label IS NULL AND closed IS {false}"),
    )
    op.create_table(
        "reviews",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("cell_id", sa.Integer(), nullable=False),
        sa.Column("reviewer", sa.String(length=200), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("label", sa.String(length=32), nullable=True),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["cell_id"], ["cells.id"], name=op.f("fk_reviews_cell_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_reviews_cell_id_id"), "reviews", ["cell_id", "id"])
    op.create_index(op.f("ix_reviews_reviewer_cell_id"), "reviews", ["reviewer", "cell_id"])
