"""What pages with a desk draw of it: problems, the chosen field, files and patients."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import streamlit as st

from core.cases.names import normalised
from core.domain.results import FailedFile, FieldAnalysis, neutral_name, without_names
from core.settings import get_settings
from ui.components.shared import number_of, plain
from ui.upload.session import (
    MOST_BYTES,
    UNNAMED,
    Analyse,
    Desk,
    Picture,
    compare,
    is_doubtful,
    overrule,
    remove,
)

_MOST_NAMED = 20


def exported(
    name: str, desk: Desk, pictures: Sequence[Picture]
) -> tuple[list[Picture], list[FailedFile]]:
    """Ask whether exports may hold file names; return what is exported, named accordingly."""
    asked = st.toggle(
        "With file names",
        key=f"{name}_file_names",
        persist_state="session",
        help="File names often hold identifiers of patients. Without them the files are called "
        "field 1, field 2, in the order of this page.",
    )
    if asked:
        return list(pictures), list(desk.failed)
    files = dict.fromkeys(picture.identity[0] for picture in desk.pictures.values())
    numbered = {sha256: neutral_name(number) for number, sha256 in enumerate(files, 1)}
    kept = list(desk.pictures.values())
    names = {p.result.file: numbered[p.identity[0]] for p in reversed(kept)}
    neutral = [
        replace(
            p,
            result=replace(
                p.result,
                file=numbered[p.identity[0]],
                warnings=without_names(p.result.warnings, names),
            ),
        )
        for p in pictures
    ]
    failed = [
        FailedFile(neutral_name(number), failure.error)
        for number, failure in enumerate(desk.failed, len(files) + 1)
    ]
    return neutral, failed


KEEP = "keep_duplicates"


def show_problems(desk: Desk, analyse: Analyse) -> None:
    """Say which files were not read, were refused or doubted, or came twice.

    Refused and doubtful pictures can be analysed all the same; what follows carries the reason.
    """
    pictures = list(desk.pictures.values())
    results = [picture.result for picture in pictures]
    refused = [p for p in pictures if p.result.reject_reason]
    if desk.failed:
        lines = [f"- **{plain(f.file)}**: {plain(f.error)}" for f in desk.failed]
        st.error("\n".join(lines), title="Not read", icon=":material/error:")
    if refused:
        lines = [f"- **{plain(p.result.title)}**: {p.result.reject_reason}" for p in refused]
        st.warning("\n".join(lines), title="Refused", icon=":material/block:")
        _offer_to_overrule("Analyse", "refused", desk, analyse, refused)
    if dropped := sum(picture.raw is None for picture in pictures):
        which = "1 picture is" if dropped == 1 else f"{dropped} pictures are"
        st.warning(
            f"{which} analysed, but the file is not kept: a session keeps "
            f"{MOST_BYTES // 2**20} MB of files. It cannot be saved to a patient. Save the others, "
            "clear the desk, then bring it again.",
            title="Too many files to keep",
            icon=":material/memory:",
        )
    overruled = [r for r in results if r.qc_override]
    if overruled:
        lines = [f"- **{plain(r.title)}**: {r.qc_override}" for r in overruled]
        st.warning(
            "\n".join(lines),
            title="Analysed against the input gate: do not rely on it",
            icon=":material/warning:",
        )
    warned = [r for r in results if r.warnings]
    if warned:
        lines = [f"- **{plain(r.title)}**: {plain(' '.join(r.warnings))}" for r in warned]
        st.warning("\n".join(lines), title="Check these images", icon=":material/straighten:")
    if doubtful := [p for p in pictures if is_doubtful(p.result) and p.sample_id is None]:
        _offer_to_overrule("Classify", "doubtful", desk, analyse, doubtful)
    if desk.passed_over:
        _say_passed_over(desk.passed_over)
    if desk.repeated:
        lines = [
            f"- **{plain(name)}** is the same as {plain(kept)}" for name, kept in desk.repeated
        ]
        st.info("\n".join(lines), title="Counted once", icon=":material/content_copy:")
    _offer_to_keep(desk)


def _say_passed_over(names: Sequence[str]) -> None:
    """Say which files of a folder were not taken for images."""
    shown = [] if get_settings().neutral_names else names[:_MOST_NAMED]
    rest = len(names) - len(shown)
    more = f"and {number_of(rest, 'more file')}" if shown else number_of(rest, "file")
    st.info(
        f"{', '.join(map(plain, shown))}{' ' * bool(shown) + more if rest else ''}. "
        "To have such a file read, add it under Files.",
        title="Passed over in the folder: no image by its name or content",
        icon=":material/skip_next:",
    )


def _offer_to_overrule(
    action: str, which: str, desk: Desk, analyse: Analyse, pictures: Sequence[Picture]
) -> None:
    st.button(
        f"{action} anyway",
        icon=":material/fast_forward:",
        on_click=overrule,
        args=(desk, analyse, pictures),
        disabled=all(p.raw is None for p in pictures),
        help=f"Analyses all {which} pictures. Their answers will carry the reason.",
    )


def _offer_to_keep(desk: Desk) -> None:
    """Let the reader count cells in every field that shows them; not before any are shown twice."""
    results = [p.result for p in desk.pictures.values() if isinstance(p.result, FieldAnalysis)]
    if not (desk.keep or any(cell.duplicate for r in results for cell in r.cells)):
        return

    def change() -> None:
        desk.keep = st.session_state[KEEP]
        compare(desk)

    st.toggle(
        "Count cells in every field that shows them",
        desk.keep,
        key=KEEP,
        on_change=change,
        help="Fields that overlap or were photographed twice show the same cells. Each is counted "
        "in the first field only. Turn this on when the fields are different ones.",
    )


def choose_patient(name: str, desk: Desk) -> str | None:
    """Let the reader choose a patient when there are several; None is all of them."""
    patients = desk.patients()
    if len(patients) < 2:
        return None
    everyone = f"All {len(patients)} patients"
    chosen = st.selectbox(
        "Patient", [*patients, everyone], key=f"{name}_chosen", persist_state="session"
    )
    return None if chosen == everyone else chosen


def choose_field(name: str, pictures: Sequence[Picture]) -> int:
    """Let the reader step through fields; return the index of the chosen one."""
    if len(pictures) == 1:
        return 0
    key = f"{name}_field"
    last = len(pictures) - 1
    index = min(st.session_state.get(key) or 0, last)
    st.session_state[key] = index

    def step(by: int) -> None:
        st.session_state[key] = min(max(st.session_state[key] + by, 0), last)

    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            f"Field (of {len(pictures)})",
            range(len(pictures)),
            format_func=lambda i: f"{i + 1} · {pictures[i].result.title}",
            key=key,
            persist_state="session",
            width=420,
        )
        for label, icon, by, end in (
            ("Previous", ":material/chevron_left:", -1, 0),
            ("Next", ":material/chevron_right:", 1, last),
        ):
            st.button(
                label,
                icon=icon,
                key=f"{key}_{label}",
                on_click=step,
                args=(by,),
                disabled=index == end,
            )
    return int(chosen)


def properties_table(picture: Picture, more: dict[str, str]) -> None:
    """List what the file says of itself."""
    own, page = picture.properties, picture.identity[1]
    st.table(
        {
            "Size": f"{picture.width} × {picture.height} px",
            "Format": f"{own.format}, {own.file_bytes / 1000:,.0f} kB",
            "Mode": f"{own.mode}, {own.bit_depth} bits per channel",
            **({"Page": f"{page} of {own.frames}"} if own.frames > 1 else {}),
            **({"Saved": f"sample {picture.sample_id}"} if picture.sample_id is not None else {}),
            **more,
        },
        border="horizontal",
    )


def remove_button(name: str, desk: Desk, picture: Picture) -> None:
    """Offer to take the picture that is shown off the desk."""
    if st.button(
        "Remove this picture", icon=":material/delete:", key=f"{name}_remove", type="tertiary"
    ):
        remove(desk, picture)
        st.rerun()


def patient_editor(name: str, desk: Desk, table: pd.DataFrame, columns: dict[str, object]) -> None:
    """Show a row for each picture; its patient can be corrected in place."""
    pictures = list(desk.pictures.values())
    if table["refused"].isna().all():
        columns.pop("refused")
    if (table["page"] == 1).all():
        columns.pop("page")
    saved = [picture.sample_id for picture in pictures]
    if any(saved):
        table = table.assign(sample=pd.array(saved, dtype="Int64"))
        sample = st.column_config.NumberColumn("Saved as sample")
        file, patient = columns.pop("file"), columns.pop("patient")
        columns = {"file": file, "patient": patient, "sample": sample, **columns}
    edited = st.data_editor(
        table.fillna({"refused": ""}),
        key=f"{name}_files",
        hide_index=True,
        placeholder="",
        disabled=[column for column in table.columns if column != "patient"],
        column_order=list(columns),
        column_config=columns,
        alt="A row for each picture with its patient and counts",
    )
    named = [normalised(patient or "") or UNNAMED for patient in edited["patient"]]
    if named != [p.patient for p in pictures]:
        for picture, patient in zip(pictures, named, strict=True):
            picture.patient = patient
        compare(desk)
        st.rerun()
