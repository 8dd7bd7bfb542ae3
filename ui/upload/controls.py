"""Widgets of pages with uploads: uploader, problems, the chosen field, files and patients."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.cases.names import normalised
from core.domain.results import (
    FailedFile,
    FieldAnalysis,
    StageResult,
    neutral_name,
    without_names,
)
from core.errors import READABLE_FORMATS
from core.imaging.formats import BEGINNING, is_offered
from core.imaging.read import display_name
from core.inference.quality_control import DOUBTFUL
from core.settings import get_settings
from ui.components.actions import kept_button, run_action, show_action_error
from ui.components.shared import number_of, plain
from ui.upload.session import (
    MAX_BYTES,
    PendingUpload,
    R,
    SessionImage,
    UploadSession,
    forget_upload,
    ingest,
)

UNNAMED = "Unnamed"
KEEP_DUPLICATES = "keep_duplicates"
_MAX_LISTED = 20


def read_uploads(
    session: UploadSession[R], examples: Callable[[DeltaGenerator], None] | None = None
) -> None:
    """Draw the upload controls; read and analyze what was uploaded.

    `examples` may draw more ways to get images into the row of buttons that it receives.
    """
    box = st.container()
    if session.images:
        box = st.expander("Add images, or clear them", icon=":material/add_photo_alternate:")
    with box:
        uploads: list[PendingUpload] = _uploader(session)
        row = st.container(horizontal=True)
        if examples is not None:
            examples(row)
        if session.images or session.failed:
            row.button("Clear all", icon=":material/delete:", on_click=session.clear)
    pending = [u for u in (*session.pending, *uploads) if u.key not in session.handled]
    if pending:
        ingest(session, pending)
        session.empty_uploader()


def _uploader(session: UploadSession[R]) -> list[PendingUpload]:
    name = session.name
    with st.container(horizontal=True, vertical_alignment="bottom"):
        source = st.segmented_control(
            "Upload",
            ["Files", "Folder"],
            default="Files",
            required=True,
            key=f"{name}_source",
            persist_state="session",
        )
        by_folder = source == "Folder"
        typed = normalised(
            st.text_input(
                "Patient of these images",
                key=f"{name}_patient",
                placeholder="Name of the folder" if by_folder else UNNAMED,
                max_chars=60,
                persist_state="session",
                width=280,
            )
        )
    files = st.file_uploader(
        ("Drop a folder of" if by_folder else "Drop one or more")
        + f" fields: {READABLE_FORMATS}, or camera raw",
        accept_multiple_files="directory" if by_folder else True,
        key=f"{name}_upload_{session.round}",
        help="Images stay in the memory of this server until you clear them or close the page. "
        "Nothing is written to disk unless you save it to a patient.",
    )
    pending = []
    for file in files:
        if file.file_id in session.handled:
            continue
        # Single files of any name are read, so that the page can say why one is no image.
        if by_folder and not _is_image(file):
            session.handled.add(file.file_id)
            forget_upload(file.file_id)
            session.skipped.append(display_name(file.name))
            continue
        patient = typed or (folder_name(file.name) if by_folder else "") or UNNAMED
        pending.append(PendingUpload(file.file_id, file.name, patient, file.getvalue))
    return pending


def _is_image(file: UploadedFile) -> bool:
    name = display_name(file.name)
    hidden = name.startswith(".")
    return not hidden and is_offered(name, lambda: file.getvalue()[:BEGINNING])


def folder_name(path: str) -> str:
    """Return the name of the folder a file lies in; empty without one."""
    parts = [part for part in re.split(r"[/\\]", path) if part]
    return display_name(parts[-2]) if len(parts) > 1 else ""


def exported(
    session: UploadSession[R], images: Sequence[SessionImage[R]]
) -> tuple[list[SessionImage[R]], list[FailedFile]]:
    """Ask whether exports may contain file names; return the images and failures to export."""
    asked = st.toggle(
        "With file names",
        key=f"{session.name}_file_names",
        persist_state="session",
        help="File names often contain patient identifiers. Without them the files are called "
        "field 1, field 2, in the order of this page.",
    )
    if asked:
        return list(images), list(session.failed)
    files = dict.fromkeys(image.identity[0] for image in session.images.values())
    numbered = {sha256: neutral_name(number) for number, sha256 in enumerate(files, 1)}
    names = {
        i.result.file: numbered[i.identity[0]] for i in reversed(list(session.images.values()))
    }
    neutral = [
        replace(
            image,
            result=replace(
                image.result,
                file=numbered[image.identity[0]],
                warnings=without_names(image.result.warnings, names),
            ),
        )
        for image in images
    ]
    failed = [
        FailedFile(neutral_name(number), failure.error)
        for number, failure in enumerate(session.failed, len(files) + 1)
    ]
    return neutral, failed


def show_problems(session: UploadSession[R]) -> None:
    """List the files that were not read, were rejected or are doubtful, or came twice.

    Offers to analyze rejected and doubtful images all the same; the results keep the reason.
    """
    images = list(session.images.values())
    results = [image.result for image in images]
    if session.failed:
        lines = [f"- **{plain(f.file)}**: {plain(f.error)}" for f in session.failed]
        st.error("\n".join(lines), title="Not read", icon=":material/error:")
    if rejected := [i for i in images if i.result.reject_reason]:
        lines = [f"- **{plain(i.result.title)}**: {i.result.reject_reason}" for i in rejected]
        st.warning("\n".join(lines), title="Rejected", icon=":material/block:")
        _offer_force(session, rejected, "Analyse anyway", "Analyses all rejected images.")
    if dropped := sum(image.raw is None for image in images):
        which = "1 image is" if dropped == 1 else f"{dropped} images are"
        st.warning(
            f"{which} analysed, but not kept: the page keeps {MAX_BYTES // 2**20} MB of files. "
            "They cannot be saved to a patient. Save the others, clear the page, then upload "
            "them again.",
            title="Too many files to keep",
            icon=":material/memory:",
        )
    if forced := [r for r in results if r.qc_override]:
        lines = [f"- **{plain(r.title)}**: {r.qc_override}" for r in forced]
        st.warning(
            "\n".join(lines),
            title="Analysed against quality control: do not rely on it",
            icon=":material/warning:",
        )
    if warned := _by_sentence({r.title: " ".join(r.warnings) for r in results if r.warnings}):
        st.warning(warned, title="Check these images", icon=":material/straighten:")
    if unlike := [i for i in images if _has_no_class(i.result) and i.sample_id is None]:
        _offer_force(session, unlike, "Suggest a class anyway", "Grades all fields without one.")
    if doubtful := [i for i in images if DOUBTFUL in i.result.warnings and i.sample_id is None]:
        _offer_force(session, doubtful, "Classify anyway", "Classifies all doubtful images.")
    if session.skipped:
        _show_skipped(session.skipped)
    if session.repeated:
        lines = [
            f"- **{plain(name)}** is the same as {plain(kept)}" for name, kept in session.repeated
        ]
        st.info("\n".join(lines), title="Counted once", icon=":material/content_copy:")
    _offer_to_keep_duplicates(session)


def _by_sentence(sentences: Mapping[str, str]) -> str:
    """List sentences by the title of their image in Markdown, equal ones once."""
    titles: dict[str, list[str]] = {}
    for title, sentence in sentences.items():
        titles.setdefault(sentence, []).append(plain(title))
    lines = []
    for sentence, own in titles.items():
        rest = len(own) - _MAX_LISTED
        named = own[:_MAX_LISTED] + ([number_of(rest, "more image")] if rest > 0 else [])
        lines.append(f"- **{', '.join(named)}**: {plain(sentence)}")
    return "\n".join(lines)


def _has_no_class(result: FieldAnalysis | StageResult) -> bool:
    if not isinstance(result, StageResult):
        return False
    return result.reject_reason is None and result.stage is None


def _show_skipped(names: Sequence[str]) -> None:
    shown = [] if get_settings().neutral_names else names[:_MAX_LISTED]
    listed = list(map(plain, shown))
    if rest := len(names) - len(shown):
        listed.append(number_of(rest, "more file" if shown else "file"))
    st.info(
        f"{', '.join(listed)}. To read such a file, add it under Files.",
        title="Skipped in the folder: no image by name or content",
        icon=":material/skip_next:",
    )


def _offer_force(
    session: UploadSession[R], images: Sequence[SessionImage[R]], label: str, what: str
) -> None:
    key = f"{session.name}_{label}"
    st.button(
        label,
        key=key,
        icon=":material/fast_forward:",
        on_click=run_action,
        args=(key, lambda: session.analyze_by_force(images)),
        disabled=all(image.raw is None for image in images),
        help=f"{what} The results keep the reason.",
    )
    show_action_error(key)


def _offer_to_keep_duplicates(session: UploadSession[R]) -> None:
    """Let the reader count cells in every field that shows them, once some are shown twice."""
    results = [image.result for image in session.images.values()]
    has_duplicates = any(
        isinstance(r, FieldAnalysis) and r.counts.duplicates["wbc"] for r in results
    )
    if not (session.keep_duplicates or has_duplicates):
        return

    def change() -> None:
        session.keep_duplicates = st.session_state[KEEP_DUPLICATES]
        session.mark_duplicates()

    st.toggle(
        "Count cells in every field that shows them",
        session.keep_duplicates,
        key=KEEP_DUPLICATES,
        on_change=change,
        help="Fields that overlap, or were photographed twice, show the same cells. Each cell is "
        "counted in the first field only. Turn this on when the fields do not overlap.",
    )


def choose_patient(session: UploadSession[R]) -> str | None:
    """Let the reader choose a patient when there are several; None is all of them."""
    patients: list[str] = session.patients()
    if len(patients) < 2:
        return None
    everyone = f"All {len(patients)} patients"
    chosen = st.selectbox(
        "Patient", [*patients, everyone], key=f"{session.name}_chosen", persist_state="session"
    )
    return None if chosen == everyone else chosen


def field_key(session: UploadSession[R]) -> str:
    """Return the key of the shown field, which is counted from 0."""
    return f"{session.name}_field"


def choose_field(session: UploadSession[R], images: Sequence[SessionImage[R]]) -> SessionImage[R]:
    """Let the reader step through fields; return the chosen one."""
    if len(images) == 1:
        return images[0]
    key = field_key(session)
    last = len(images) - 1
    index = min(st.session_state.get(key) or 0, last)
    st.session_state[key] = index

    def step(by: int) -> None:
        st.session_state[key] = min(max(st.session_state[key] + by, 0), last)

    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            f"Field (of {len(images)})",
            range(len(images)),
            format_func=lambda i: f"{i + 1} · {images[i].result.title}",
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
    return images[int(chosen)]


def properties_table(image: SessionImage[R], more: dict[str, str]) -> None:
    """Show the properties of the file."""
    properties, page = image.properties, image.identity[1]
    st.table(
        {
            "Size": f"{image.width} × {image.height} px",
            "Format": f"{properties.format}, {properties.file_bytes / 1000:,.0f} kB",
            "Mode": f"{properties.mode}, {properties.bit_depth} bits per channel",
            **({"Page": f"{page} of {properties.frames}"} if properties.frames > 1 else {}),
            **({"Saved": f"sample {image.sample_id}"} if image.sample_id is not None else {}),
            **more,
        },
        border="horizontal",
    )


def remove_button(session: UploadSession[R], image: SessionImage[R]) -> None:
    """Offer to remove the image that is shown."""
    key = f"{session.name}_remove"
    if kept_button("Remove this image", key, icon=":material/delete:", type="tertiary"):
        session.remove(image)
        st.rerun()


def patient_editor(
    session: UploadSession[R], table: pd.DataFrame, columns: Mapping[str, Any]
) -> None:
    """Show a row for each image; its patient can be corrected in place.

    `columns` is the column configuration of `table`, in the order to show.
    """
    columns = dict(columns)
    images = list(session.images.values())
    if table["refused"].isna().all():
        columns.pop("refused")
    if (table["page"] == 1).all():
        columns.pop("page")
    saved = [image.sample_id for image in images]
    if any(saved):
        table = table.assign(sample=pd.array(saved, dtype="Int64"))
        sample = st.column_config.NumberColumn("Saved as sample")
        file, patient = columns.pop("file"), columns.pop("patient")
        columns = {"file": file, "patient": patient, "sample": sample, **columns}
    edited: pd.DataFrame = st.data_editor(
        table.fillna({"refused": ""}),
        key=f"{session.name}_files",
        hide_index=True,
        placeholder="",
        disabled=[column for column in table.columns if column != "patient"],
        column_order=list(columns),
        column_config=columns,
        alt="A row for each image with its patient and counts",
    )
    named = [normalised(patient or "") or UNNAMED for patient in edited["patient"]]
    if named != [image.patient for image in images]:
        for image, patient in zip(images, named, strict=True):
            image.patient = patient
        session.mark_duplicates()
        st.rerun()
