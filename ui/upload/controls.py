"""Widgets of pages with uploads: uploader, problems, the chosen field, files and patients."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.access import get_access
from core.cases.database import get_database
from core.cases.drafts import Draft, delete_draft, drafts_of
from core.cases.names import normalised
from core.domain.results import FailedFile, neutral_name, without_names
from core.errors import READABLE_FORMATS, LeukoscopeError
from core.imaging.formats import BEGINNING, is_offered
from core.imaging.read import display_name
from core.inference.quality_control import DOUBTFUL
from core.settings import get_settings
from ui.components import cases, fields
from ui.components.actions import action_button, kept_button
from ui.components.browser import mount
from ui.components.shared import file_names_toggle, number_of, plain
from ui.components.visitor import current_user
from ui.upload.images import SessionImage
from ui.upload.session import DRAFT, MAX_BYTES, PendingUpload, UploadSession, forget_upload, ingest

UNNAMED = "Unnamed"
KEEP_DUPLICATES = "keep_duplicates"
_MAX_LISTED = 20
_MAX_LINKS = 8


def read_uploads(
    session: UploadSession, examples: Callable[[DeltaGenerator], None] | None = None
) -> None:
    """Draw the upload controls; read and analyze what was uploaded, open the first new field.

    `examples` may draw more ways to get images into the row of buttons that it receives.
    """
    _show_draft(session)
    line = st.container(horizontal=True, vertical_alignment="center")
    box = line.container()
    if session.images:
        box = line.expander("Add images, or clear them", icon=":material/add_photo_alternate:")
    with box:
        uploads: list[PendingUpload] = _uploader(session)
        row = st.container(horizontal=True)
        if examples is not None:
            examples(row)
        if session.images or session.failed:
            row.button("Clear all", icon=":material/delete:", on_click=session.clear)
    mount("ask_before_leaving", "ask_before_leaving", {})
    with line:
        _review_links(session)
    pending = [u for u in (*session.pending, *uploads) if u.key not in session.handled]
    if pending:
        known = set(session.images)
        ingest(session, pending)
        if new := next((i for key, i in session.images.items() if key not in known), None):
            st.session_state[_patient_key(session)] = new.patient
            own = session.of_patient(new.patient)
            st.session_state[field_key(session)] = next(n for n, i in enumerate(own) if i is new)
    if session.handled:  # what lies in the uploader was read, or is no image
        session.empty_uploader()


def _show_draft(session: UploadSession) -> None:
    """Say where the upload is kept; offer drafts that were put away or made before."""
    if session.not_stored and session.images:
        st.warning(
            f"{plain(session.not_stored)} The images that are not in the draft are only in the "
            "memory of this page: a reload loses them.",
            title="Not kept on the server",
            icon=":material/memory:",
        )
    shown_below = {image.sample_id for image in session.images.values()}
    if saved := [sample_id for sample_id in session.saved if sample_id not in shown_below]:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(":green-badge[:material/check: saved from this draft]", width="content")
            for sample_id in saved:
                cases.sample_link(sample_id, f"Sample {sample_id}")
                cases.review_link(sample_id, f"Review sample {sample_id}")
    if session.unread:
        names = list(map(plain, session.unread[:_MAX_LISTED]))
        if rest := len(session.unread) - len(names):
            names.append(number_of(rest, "more file"))
        st.warning(
            f"**{', '.join(names)}**. Drop them again, unless the upload still runs in another "
            "window.",
            title="Not read: the upload was cut short",
            icon=":material/sync_problem:",
        )
    if session.cleared is not None:
        _offer_cleared(session, *session.cleared)
    if not session.images and get_access().sign_in:
        _list_drafts()


def _offer_cleared(session: UploadSession, draft: Draft, key: str) -> None:
    def open_again() -> None:
        st.query_params[DRAFT] = key

    def delete() -> None:
        database = get_database()
        delete_draft(database, current_user(database), draft)
        session.cleared = None

    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Cleared. The images are deleted on {draft.expires:%Y-%m-%d}.")
        st.button("Undo", key="draft_undo", icon=":material/undo:", on_click=open_again)
        action_button("Delete them now", "draft_delete", delete, icon=":material/delete_forever:")


def _list_drafts() -> None:
    """List the drafts of the user who signed in."""
    try:
        database = get_database()
        found = drafts_of(database, current_user(database).name)
    except LeukoscopeError:
        return
    if not found:
        return
    with st.expander(f"Your drafts ({len(found)})", icon=":material/edit_note:", expanded=True):
        for one in found:
            names = ", ".join(map(plain, one.patients))
            st.button(
                f"{names}: {number_of(one.fields, 'field')}, opened {one.draft.used:%Y-%m-%d}",
                key=f"draft_{one.draft.id}",
                type="tertiary",
                icon=":material/folder_open:",
                on_click=st.query_params.update,
                args=({DRAFT: str(one.draft.id)},),
                help=f"Deleted on {one.draft.expires:%Y-%m-%d} unless it is opened before.",
            )


def _review_links(session: UploadSession) -> None:
    """Link to the review of what was uploaded."""
    samples = session.sample_ids(session.images.values())
    if not samples or session.key is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", width="content"):
        for patient, sample_id in list(samples.items())[:_MAX_LINKS]:
            label = "Review these cells" if len(samples) == 1 else f"Review cells of {patient}"
            cases.review_link(sample_id, label, draft=session.key)


def _uploader(session: UploadSession) -> list[PendingUpload]:
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
        help="Images and results are kept on this server as a draft that only you can open, by "
        "the address of this page. A draft is deleted when it was not opened for "
        f"{number_of(get_settings().draft_days, 'day')}.",
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
    session: UploadSession, images: Sequence[SessionImage]
) -> tuple[list[SessionImage], list[FailedFile]]:
    """Ask whether exports may contain file names; return the images and failures to export."""
    if file_names_toggle(session.name):
        return list(images), list(session.failed)
    files = dict.fromkeys(image.identity[0] for image in session.images.values())
    numbered = {sha256: neutral_name(number) for number, sha256 in enumerate(files, 1)}
    names = {
        i.result.file: numbered[i.identity[0]] for i in reversed(list(session.images.values()))
    }

    def neutral(image: SessionImage) -> SessionImage:
        file = numbered[image.identity[0]]
        warnings = without_names(image.result.warnings, names)
        result = replace(image.result, file=file, warnings=warnings)
        stage = image.stage and replace(
            image.stage, warnings=without_names(image.stage.warnings, names)
        )
        return replace(image, result=result, stage=stage)

    failures = enumerate(session.failed, len(files) + 1)
    failed = [FailedFile(neutral_name(number), failure.error) for number, failure in failures]
    return [neutral(image) for image in images], failed


def show_problems(session: UploadSession) -> None:
    """List the files that were not read, were rejected or are doubtful, or came twice.

    Offers to analyze rejected and doubtful images all the same; the results keep the reason.
    """
    images = list(session.images.values())
    rejected = [i for i in images if i.result.reject_reason]
    doubtful = [
        i
        for i in images
        if DOUBTFUL in i.result.warnings and i.sample_id is None and not i.is_reviewed
    ]
    _list(st.error, "Not read", "error", [(f.file, plain(f.error)) for f in session.failed])
    _list(
        st.warning,
        "Rejected",
        "block",
        [(i.result.title, i.result.reject_reason) for i in rejected],
    )
    if rejected:
        _offer_force(session, rejected, "Analyse anyway", "Analyses all rejected images.")
    if dropped := sum(not image.is_kept for image in images):
        which = "1 image is" if dropped == 1 else f"{dropped} images are"
        st.warning(
            f"{which} analysed, but not kept: the page keeps {MAX_BYTES // 2**20} MB of files. "
            "They cannot be saved to a patient. Save the others, clear the page, then upload "
            "them again.",
            title="Too many files to keep",
            icon=":material/memory:",
        )
    _list(
        st.warning,
        "Analysed against quality control: do not rely on it",
        "warning",
        [(i.result.title, reason) for i in images if (reason := _override(i))],
    )
    _list(
        st.warning,
        "Check these images",
        "straighten",
        [(i.result.title, plain(sentence)) for i in images for sentence in _warnings(session, i)],
    )
    if unlike := [i for i in images if session.name == "stage" and _has_no_class(i)]:
        action_button(
            "Suggest a class anyway",
            "stage_Suggest a class anyway",
            lambda: session.grade(unlike, force=True),
            icon=":material/fast_forward:",
            help="Grades all fields without one. The results keep the reason.",
        )
    if doubtful:
        _offer_force(session, doubtful, "Classify anyway", "Classifies all doubtful images.")
    if session.skipped:
        _show_skipped(session.skipped)
    same = [(name, f"this image is the same as {plain(kept)}") for name, kept in session.repeated]
    _list(st.info, "Counted once", "content_copy", same)
    _offer_to_keep_duplicates(session)


def _list(
    show: Callable[..., object], title: str, icon: str, found: Sequence[tuple[str, str | None]]
) -> None:
    """Show what is said of images in Markdown, equal sentences once, if there are any."""
    titles: dict[str | None, list[str]] = {}
    for image, sentence in found:
        titles.setdefault(sentence, []).append(plain(image))
    lines = []
    for sentence, own in titles.items():
        rest = len(own) - _MAX_LISTED
        named = own[:_MAX_LISTED] + ([number_of(rest, "more image")] if rest > 0 else [])
        lines.append(f"- **{', '.join(named)}**: {sentence}")
    if lines:
        show("\n".join(lines), title=title, icon=f":material/{icon}:")


def _has_no_class(image: SessionImage) -> bool:
    graded = image.graded
    is_open = image.sample_id is None and image.is_kept
    return is_open and graded is not None and graded.stage is None and not graded.reject_reason


def _override(image: SessionImage) -> str | None:
    """Return the reason of quality control that somebody overrode."""
    return image.result.qc_override or (image.stage.qc_override if image.stage else None)


def _warnings(session: UploadSession, image: SessionImage) -> tuple[str, ...]:
    """Return the warnings on what the page is about: the class or the count of an image."""
    return (
        image.stage.warnings if image.stage and session.name == "stage" else image.result.warnings
    )


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
    session: UploadSession, images: Sequence[SessionImage], label: str, what: str
) -> None:
    action_button(
        label,
        f"{session.name}_{label}",
        lambda: session.analyze_by_force(images),
        icon=":material/fast_forward:",
        disabled=not any(image.is_kept for image in images),
        help=f"{what} The results keep the reason.",
    )


def _offer_to_keep_duplicates(session: UploadSession) -> None:
    """Let the reader count cells in every field that shows them, once some are shown twice."""
    results = [image.result for image in session.images.values()]
    has_duplicates = any(result.counts.duplicates["wbc"] for result in results)
    if not (session.keep_duplicates or has_duplicates):
        return

    def change() -> None:
        session.count_duplicates(st.session_state[KEEP_DUPLICATES])

    st.toggle(
        "Count cells in every field that shows them",
        session.keep_duplicates,
        key=KEEP_DUPLICATES,
        on_change=change,
        help="Fields that overlap, or were photographed twice, show the same cells. Each cell is "
        "counted in the first field only. Turn this on when the fields do not overlap.",
    )


def choose_patient(session: UploadSession) -> str | None:
    """Let the reader choose a patient when there are several; None is all of them."""
    patients: list[str] = session.patients()
    if len(patients) < 2:
        return None
    everyone = f"All {len(patients)} patients"
    chosen = st.selectbox(
        "Patient", [*patients, everyone], key=_patient_key(session), persist_state="session"
    )
    return None if chosen == everyone else chosen


def _patient_key(session: UploadSession) -> str:
    return f"{session.name}_chosen"


def field_key(session: UploadSession) -> str:
    """Return the key of the shown field, which is counted from 0."""
    return f"{session.name}_field"


def choose_field(session: UploadSession, images: Sequence[SessionImage]) -> SessionImage:
    """Let the reader step through fields; return the chosen one."""
    key = field_key(session)
    cases.follow_address("field", key)
    index = fields.choose_field([i.result.title for i in images], key)
    cases.keep_in_address("field", key, index + 1 if len(images) > 1 else None)
    return images[index]


def properties_table(image: SessionImage, more: dict[str, str]) -> None:
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


def remove_button(session: UploadSession, image: SessionImage) -> None:
    """Offer to remove the image that is shown."""
    key = f"{session.name}_remove"
    if kept_button("Remove this image", key, icon=":material/delete:", type="tertiary"):
        session.remove(image)
        st.rerun()


def patient_editor(session: UploadSession, table: pd.DataFrame, columns: Mapping[str, Any]) -> None:
    """Show a row for each image; its patient can be corrected in place.

    `columns` is the column configuration of `table`, in the order to show.
    """
    images = list(session.images.values())
    table = table.assign(sample=pd.array([i.sample_id for i in images], dtype="Int64"))
    sample = st.column_config.NumberColumn("Saved as sample")
    first = {"file": columns["file"], "patient": columns["patient"], "sample": sample}
    hidden = [name for name in ("refused", "overruled", "sample") if table[name].isna().all()]
    if (table["page"] == 1).all():
        hidden.append("page")
    edited: pd.DataFrame = st.data_editor(
        table.fillna({"refused": "", "overruled": ""}),
        key=f"{session.name}_files",
        hide_index=True,
        placeholder="",
        disabled=[column for column in table.columns if column != "patient"],
        column_order=[name for name in {**first, **columns} if name not in hidden],
        column_config={**first, **columns},
        alt="A row for each image with its patient and counts",
    )
    named = [normalised(patient or "") or UNNAMED for patient in edited["patient"]]
    if named != [image.patient for image in images]:
        session.name_patients(named)
        st.rerun()
