"""The images that a visitor uploaded, with their results, on both pages of uploads.

They are kept in a draft of the case store, from the first file on: `?draft=` in the address opens
it again, in any browser. The browser session keeps the results and small JPEG copies; images are
read from the store. Where nothing can be stored, the session keeps the files as uploaded instead,
and the page says that a reload loses them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakSet

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.access import get_access, rejected_uploads
from core.cases import drafts
from core.cases.database import Database, get_database
from core.cases.drafts import Draft, DraftNotes
from core.cases.records import User
from core.domain.results import FailedFile, FieldImage, neutral_name
from core.errors import (
    CaseError,
    DraftError,
    InvalidEntryError,
    LeukoscopeError,
    UploadsFullError,
)
from core.imaging.decoder import decoded
from core.imaging.duplicates import Finder, Known, from_stored, marked, pixels_sha256
from core.imaging.read import display_name
from core.inference.pipeline import get_analyzer
from core.inference.site_profile import SiteProfile
from core.inference.tasks import or_failure
from core.settings import get_settings
from ui.components.shared import number_of, plain
from ui.components.visitor import current_user
from ui.upload.images import (
    MAX_IMAGES,
    SessionImage,
    analyze_field,
    decode_again,
    from_store,
    graded_field,
    new_field,
    session_image,
)

MAX_BYTES = 512 * 2**20
"""Bytes of uploaded files that one visitor's session keeps where nothing can be stored."""
DRAFT = "draft"
"""Name of the key of a draft in the address."""
_SESSION = "uploads"


@dataclass(frozen=True)
class PendingUpload:
    """A file that was uploaded and not read yet."""

    key: str
    name: str
    patient: str
    read: Callable[[], bytes]


_all_sessions: "WeakSet[UploadSession]" = WeakSet()


@dataclass(eq=False)
class UploadSession:
    """The images of a visitor in upload order, by SHA-256 and page."""

    name: str = "wbc"
    """`wbc` or `stage`: the page that shows them now; prefix of its widget keys."""
    profile: SiteProfile | None = None
    """For images that come from now on."""
    images: dict[tuple[str, int], SessionImage] = field(default_factory=dict)
    pending: list[PendingUpload] = field(default_factory=list)
    """Example files to be read beside what is in the uploader."""
    unread: tuple[str, ...] = ()
    """Names of files that an upload which was cut short, or goes on elsewhere, did not read."""
    failed: list[FailedFile] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """Names of the files in folders that are no images."""
    repeated: list[tuple[str, str]] = field(default_factory=list)
    """Name of an image that was uploaded before, and its first name."""
    keep_duplicates: bool = False
    """Count a cell in every field that shows it."""
    known: Known = field(default_factory=dict, repr=False)
    """Transforms between pairs of fields that were compared."""
    handled: set[str] = field(default_factory=set)
    """Keys of the uploads that were read since the uploader was emptied."""
    received: int = 0
    """Files received since the session was cleared, read or not."""
    round: int = 0
    """Part of the uploader's key: a new number empties it."""
    draft: Draft | None = None
    key: str | None = None
    """Opens the draft; in the address."""
    stamp: drafts.Stamp | None = None
    """Of the draft as it was read last."""
    saved: tuple[int, ...] = ()
    """Samples that images of the draft were saved to."""
    is_graded: bool = False
    """The visitor asked for the ALL class beside the count."""
    not_stored: str | None = None
    """Why images are only in the memory of this session."""
    cleared: tuple[Draft, str] | None = None
    """The draft that was put away, with its key."""

    def __post_init__(self) -> None:
        _all_sessions.add(self)

    def of_patient(self, patient: str | None) -> list[SessionImage]:
        """Return the images of a patient, or all images for None."""
        return [image for image in self.images.values() if patient in (None, image.patient)]

    def patients(self) -> list[str]:
        """Return the patients in upload order."""
        return list(dict.fromkeys(image.patient for image in self.images.values()))

    def sample_ids(self, images: Iterable[SessionImage]) -> dict[str, int]:
        """Return the samples of the draft that hold some images, by the patient's name."""
        wanted = {image.patient for image in images if image.field_id and image.sample_id is None}
        return {patient: self._samples[patient] for patient in wanted if patient in self._samples}

    _samples: dict[str, int] = field(default_factory=dict)
    _noted: tuple[int, int, int] = (0, 0, 0)
    """How many of the failed, skipped and repeated files the draft knows."""

    def open(self, key: str) -> None:
        """Show the draft that a key opens. Raises DraftError and the errors of the store."""
        database = get_database()
        self.draft = drafts.open_draft(database, key, draft_owner(current_user(database)))
        self.key = key
        self._read(database, self.draft)
        if self.unread:  # the upload was cut short before its images were compared
            self.mark_duplicates()

    def refresh(self) -> None:
        """Follow what reviewers and other browsers did. Raises as `open`."""
        if self.draft is None:
            return
        database = get_database()
        if draft_owner(current_user(database)) != self.draft.owner:  # another user signed in
            raise DraftError
        if drafts.stamp(database, self.draft) != self.stamp:
            self._read(database, self.draft)

    def _read(self, database: Database, draft: Draft) -> None:
        self.stamp, notes, fields = drafts.load_draft(database, draft)
        self.failed, self.skipped = list(notes.failed), list(notes.skipped)
        self.repeated, self.keep_duplicates = list(notes.repeated), notes.keep_duplicates
        self.saved = notes.saved
        self._noted = self._lengths()
        read = {one.stored.analysis.file for one in fields} | {one.file for one in notes.failed}
        read |= {name for name, _ in notes.repeated}
        self.unread = tuple(name for name in notes.expected if name not in read)
        self._samples = {one.patient: one.sample_id for one in fields}
        stored = {one.stored.id for one in fields}
        for identity, image in list(self.images.items()):
            gone = image.field_id is not None and image.field_id not in stored
            if gone and image.sample_id is None:
                del self.images[identity]
        for one in fields:
            identity = one.stored.analysis.identity
            self.images[identity] = from_store(one, self.images.get(identity))

    @contextmanager
    def writing(self) -> Iterator[tuple[Database, User, Draft] | None]:
        """Yield the draft to write to, made now if there is none yet; None where it cannot be.

        What fails in the block, too, leaves the images in memory, and the page says so.
        """
        try:
            database = get_database()
            user = current_user(database)
            if self.draft is None:
                self.draft, self.key = drafts.create_draft(database, user, draft_owner(user))
                st.query_params[DRAFT] = self.key
            opened = database, user, self.draft
        except LeukoscopeError as error:
            self.not_stored = str(error)
            yield None
            return
        try:
            yield opened
            self.stamp = None  # the store is read again: it alone decides
        except InvalidEntryError:
            raise
        except CaseError as error:
            self.not_stored = str(error)

    def keep_notes(self, expected: Sequence[str] = (), read: Sequence[str] = ()) -> None:
        """Store what is new of what the page says beside the images.

        `expected` are the files to be read, `read` those that were.
        """
        failed, skipped, repeated = self._noted
        with self.writing() as store:
            if store is not None:
                database, _, draft = store
                new = DraftNotes(
                    tuple(expected),
                    tuple(self.failed[failed:]),
                    tuple(self.skipped[skipped:]),
                    tuple(self.repeated[repeated:]),
                )
                drafts.add_notes(database, draft, new, read)
                self._noted = self._lengths()

    def _lengths(self) -> tuple[int, int, int]:
        return len(self.failed), len(self.skipped), len(self.repeated)

    def add(self, image: SessionImage, decoded_image: FieldImage) -> None:
        """Add an image and store it. Raises InvalidEntryError when the draft has it already."""
        with self.writing() as store:
            if store is not None:
                database, user, draft = store
                new = new_field(image, decoded_image)
                image.field_id = drafts.add_draft_field(database, user, draft, image.patient, new)
        if image.field_id is not None:
            image.raw = None
        image.draw(decoded_image.pixels)
        self.images[image.identity] = image

    def store_rest(self) -> None:
        """Store the images that could not be stored before, as far as they are kept."""
        waiting = [
            image
            for image in self.images.values()
            if image.field_id is None and image.raw is not None and image.sample_id is None
        ]
        self.not_stored = None
        for image, decoded_image in decode_again(waiting):
            if self.not_stored is None:
                self.add(image, decoded_image)
        if waiting:
            self.keep_notes()

    def count_duplicates(self, keep: bool) -> None:
        """Count cells in every field that shows them, or once."""
        self.keep_duplicates = keep
        self.mark_duplicates()
        with self.writing() as store:
            if store is not None:
                drafts.set_keep_duplicates(store[0], store[2], keep)

    def grade(self, images: Iterable[SessionImage], *, force: bool = False) -> None:
        """Ask the ALL model about images that it was not asked about, or by force about all."""
        waiting = [image for image in images if image.is_kept and (force or image.stage is None)]
        if not waiting:
            return
        version = get_analyzer().versions["all_stage"]
        bar = st.progress(0.0)
        for number, (image, decoded_image) in enumerate(decode_again(waiting), 1):
            bar.progress(number / len(waiting), f"Grading field {number} of {len(waiting)}")
            image.stage = graded_field(decoded_image, image.own_result, force=force)
            image.has_new_stage = image.sample_id is not None
            with self.writing() as store:
                if store is not None and image.field_id and image.sample_id is None:
                    stages = {image.field_id: image.stage}
                    drafts.set_stages(store[0], store[2], stages, version)
        bar.empty()

    def analyze_by_force(self, images: Sequence[SessionImage]) -> None:
        """Analyze rejected or doubtful images in spite of quality control; the results say so."""
        for image, decoded_image in decode_again([i for i in images if not i.is_reviewed]):
            found = analyze_field(decoded_image, force=True, profile=self.profile)
            image.own_result = image.result = replace(found, file=image.result.file)
            image.pixels_sha256 = pixels_sha256(decoded_image.pixels)
            is_graded = image.stage is not None
            image.stage = (
                graded_field(decoded_image, image.own_result, force=True) if is_graded else None
            )
            image.views.clear()
            with self.writing() as store:
                if store is not None and image.field_id is not None:
                    database, user, draft = store
                    new = new_field(image, decoded_image)
                    drafts.replace_analysis(database, user, draft, image.field_id, new)
        self.mark_duplicates()

    def mark_duplicates(self) -> None:
        """Mark the cells that an earlier field of the patient shows too: each counts once."""
        self._restore_fingerprints()
        finder = Finder(keep=self.keep_duplicates, known=self.known)
        changed = {}
        for image in self.images.values():
            before = image.result
            image.result = marked(image.own_result, finder, image.patient)
            is_stored = image.field_id is not None and image.sample_id is None
            if is_stored and (before.cells, before.warnings) != (
                image.result.cells,
                image.result.warnings,
            ):
                changed[image.field_id or 0] = image.result
        if changed:
            with self.writing() as store:
                if store is not None:
                    drafts.mark_fields(store[0], store[2], changed)

    def _restore_fingerprints(self) -> None:
        lacking = {
            image.field_id: image
            for image in self.images.values()
            if image.field_id is not None
            and image.own_result.fingerprint is None
            and image.own_result.reject_reason is None
        }
        if not lacking:
            return
        with suppress(CaseError):  # without them nothing is marked
            for key, kept in drafts.load_fingerprints(get_database(), lacking).items():
                own = lacking[key].own_result
                prints = from_stored(kept, own.cells, own.width)
                lacking[key].own_result = replace(own, fingerprint=prints)

    def name_patients(self, patients: Sequence[str]) -> None:
        """Give the images, in their order, to other patients."""
        moved = {}
        for image, patient in zip(self.images.values(), patients, strict=True):
            if image.patient != patient:
                image.patient = patient
                if image.field_id is not None and image.sample_id is None:
                    moved[image.field_id] = patient
        if moved:
            with self.writing() as store:
                if store is not None:
                    database, user, draft = store
                    drafts.move_fields(database, user, draft, moved)
        self.mark_duplicates()

    def remove(self, image: SessionImage) -> None:
        """Remove one image, from the store too unless it was saved to a patient."""
        del self.images[image.identity]
        if image.field_id is not None and image.sample_id is None:
            with self.writing() as store:
                if store is not None:
                    database, user, draft = store
                    drafts.remove_fields(database, user, draft, [image.field_id])
        self.mark_duplicates()

    def clear(self) -> None:
        """Put the draft away and start an empty session; the draft can be opened again."""
        empty = UploadSession(self.name, self.profile, round=self.round + 1)
        if self.draft is not None and self.key is not None:
            empty.cleared = self.draft, self.key
        st.session_state[_SESSION] = empty
        st.query_params.pop(DRAFT, None)

    def empty_uploader(self) -> None:
        """Drop the files that were read and rerun the page."""
        self.pending.clear()
        self.handled.clear()
        self.round += 1
        st.rerun()


def draft_owner(user: User) -> str | None:
    """Return whose drafts a visitor opens; None without single sign-on, where a secret does."""
    return user.name if get_access().sign_in else None


def upload_session() -> UploadSession:
    """Return the visitor's session."""
    session: UploadSession = st.session_state.setdefault(_SESSION, UploadSession())
    return session


def open_upload_session(name: str) -> UploadSession:
    """Return the visitor's session for a page; the draft in the address is opened.

    A draft that cannot be opened is said to be so, and the page starts empty.
    """
    session, key = upload_session(), st.query_params.get(DRAFT)
    try:
        if key and key != session.key:
            session = UploadSession(round=session.round + 1)
            session.open(key)
            st.session_state[_SESSION] = session
        elif session.key is not None:
            if key is None:
                st.query_params[DRAFT] = session.key
            session.refresh()
    except DraftError as error:
        st.error(plain(str(error)), icon=":material/link_off:")
        session = st.session_state[_SESSION] = UploadSession(round=session.round + 1)
        st.query_params.pop(DRAFT, None)
    except LeukoscopeError as error:
        if session.draft is None:  # the address stays: another try may open it
            st.error(plain(str(error)), icon=":material/error:")
            session = upload_session()
        else:
            session.not_stored = str(error)
    session.name = name
    return session


def _kept_bytes(sessions: Sequence[UploadSession]) -> int:
    # The images of one file share its bytes.
    return sum(
        sum({i.identity[0]: len(i.raw) for i in list(session.images.values()) if i.raw}.values())
        for session in sessions
    )


def has_room(session: UploadSession, size: int) -> bool:
    """Return whether a session, and all together, may keep a file of `size` bytes in memory."""
    limit = get_settings().upload_megabytes * 1_000_000
    is_small = _kept_bytes([session]) + size <= MAX_BYTES
    return is_small and _kept_bytes(list(_all_sessions)) + size <= limit


def forget_upload(key: str) -> None:
    """Drop the copy of a file that Streamlit would keep until the session ends."""
    if runtime.exists():
        files: Any = runtime.get_instance().uploaded_file_mgr  # its interface lacks `remove_file`
        files.remove_file(_session_id(), key)


def _session_id() -> str:
    context = get_script_run_ctx()
    return "" if context is None else context.session_id


def ingest(session: UploadSession, pending: Sequence[PendingUpload]) -> None:
    """Read, analyze and store uploads one by one; a bad file is noted and the others go on."""
    total = len(pending)
    is_neutral = get_settings().neutral_names
    numbered = enumerate(pending, session.received + 1)
    names = [neutral_name(number) if is_neutral else up.name for number, up in numbered]
    with st.status(f"Reading {number_of(total, 'file')}", expanded=True) as status:
        bar = st.progress(0.0)
        expected = [display_name(name) for name in names]
        session.keep_notes(expected)
        for number, (upload, name) in enumerate(zip(pending, names, strict=True), 1):
            session.received += 1
            shown = plain(expected[number - 1])
            bar.progress((number - 1) / total, text=f"{number} of {total}: {shown}")
            status.update(label=f"Analysing file {number} of {total}", expanded=True)
            outcome = _ingest_file(session, upload, name)
            session.handled.add(upload.key)
            session.keep_notes(read=expected[number - 1 : number])
            forget_upload(upload.key)
            st.write(f"{shown}: {outcome}")
        status.update(label="Comparing the images")
        session.mark_duplicates()
        if rejected := rejected_uploads.pop(_session_id(), 0):
            name = number_of(rejected, "more file")
            session.failed.append(FailedFile(name, str(UploadsFullError())))
        session.keep_notes()
        status.update(label=f"{number_of(total, 'file')} read", state="complete")


def _ingest_file(session: UploadSession, upload: PendingUpload, name: str) -> str:
    """Analyze every image of a file; return the outcome in words."""

    def analyze_images() -> str:
        raw = upload.read()
        outcomes: list[str] = []
        with decoded(raw, name) as images:
            kept = raw if has_room(session, len(raw)) else None
            for image in images:
                if len(session.images) >= MAX_IMAGES:
                    error = f"The page keeps {MAX_IMAGES} images. Clear them to read more."
                    session.failed.append(FailedFile(image.title, error))
                    outcomes.append(error)
                    break
                outcomes.append(_ingest_image(session, upload.patient, image, kept))
        if len(images) == 1:
            return outcomes[0]
        listed = " ".join(f"{number}: {text}" for number, text in enumerate(outcomes, 1))
        return f"{len(images)} images: {listed}"

    outcome = or_failure(display_name(name), analyze_images)
    if isinstance(outcome, FailedFile):
        session.failed.append(outcome)
        return plain(outcome.error)
    return outcome


def _ingest_image(
    session: UploadSession, patient: str, image: FieldImage, raw: bytes | None
) -> str:
    pixels = pixels_sha256(image.pixels)
    known = session.images.values()
    same = (i for i in known if i.pixels_sha256 == pixels or i.identity == image.identity)
    if first := next(same, None):
        title = first.result.title
        if first.patient != patient:
            title = f"{title} of {first.patient}"
        session.repeated.append((image.title, title))
        return f"the same image as {plain(title)}."
    # The cache may know the same bytes under another name.
    result = replace(analyze_field(image, profile=session.profile), file=image.name)
    stage = graded_field(image, result) if session.name == "stage" else None
    session.add(session_image(patient, image, result, stage, raw), image)
    return "rejected." if result.reject_reason else "done."
