"""The list of patients, page by page."""

from functools import partial
from math import ceil
from typing import get_args

import streamlit as st

from core.cases.audit import record_view
from core.cases.database import Database
from core.cases.listing import PAGE, Work, patients_work, search_patients
from core.cases.records import CaseState, ListedPatient, PatientWork, User
from ui.components.cases import local_time, no_cases, patient_facts, patient_link, state_badge
from ui.components.shared import number_of, on_phone
from ui.patients.edit import add_patient

_WORK: dict[str, Work | None] = {
    "any cells": None,
    "pending review": "pending",
    "possible blasts": "possible_blasts",
}
_COLUMNS = (1.3, 2.0, 0.9, 1, 1.9, 0.9, 1.6)
_HEADINGS = ("Patient", "About", "Samples", "State", "Flags", "Pending", "Last change")


def show_list(database: Database, user: User) -> None:
    """Show the patients page by page, latest sample first."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Search",
            key="search",  # never in the address: browsers and proxies keep those
            persist_state="session",
            placeholder="Identifier or name",
            icon=":material/search:",
            width=320,
        )
        states = ["any state", *get_args(CaseState)]
        state = st.selectbox("Last sample", states, key="state", bind="query-params", width=180)
        work = st.selectbox("Cells", list(_WORK), key="cells", bind="query-params", width=220)
    wanted: CaseState | None = None if state == states[0] else state
    find = partial(search_patients, database, text, state=wanted, work=_WORK[work])
    found = find()
    record_view(database, user.name, "list patients")
    listing = st.container(gap="xsmall")
    pages = ceil(found.total / PAGE)
    if pages > 1:
        page = min(st.pagination(pages, key="page", bind="query-params"), pages)
        if page > 1:
            found = find(offset=PAGE * (page - 1))
    with listing:
        if found.total:
            st.caption(number_of(found.total, "patient"))
        elif text or wanted or _WORK[work]:
            st.info("No patient matches. Change the search.", icon=":material/search_off:")
        else:
            no_cases()
        done = patients_work(database, [line.patient.id for line in found.items])
        if found.items and not on_phone():
            for column, name in zip(st.columns(_COLUMNS), _HEADINGS, strict=True):
                column.caption(name)
        for line in found.items:
            _show_line(line, done[line.patient.id])
    add_patient(database, user)


def _show_line(line: ListedPatient, work: PatientWork) -> None:
    """Show one patient of the list with the last sample; in columns, but on a phone."""
    patient, last = line.patient, line.last
    when = f"last sample {last.taken:%Y-%m-%d}" if last else "no samples"
    about = " · ".join(filter(None, (patient_facts(patient), when)))
    changed = local_time(work.changed)
    flag = (
        f":red-badge[:material/priority_high: {number_of(work.possible_blasts, 'possible blast')}]"
    )
    flags = flag if work.possible_blasts else ""
    state = state_badge(last.state) if last else ""
    if on_phone():
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            patient_link(patient.id, patient.identifier)
            st.markdown(about, width="content")
            counts = f"{number_of(work.samples, 'sample')}, {work.pending} pending"
            for text in filter(None, (state, flags, counts, f"changed {changed}")):
                st.markdown(text, width="content")
        return
    name, *others = st.columns(_COLUMNS, vertical_alignment="center")
    with name:
        patient_link(patient.id, patient.identifier)
    texts = (about, str(work.samples), state, flags, str(work.pending or ""), changed)
    for column, text in zip(others, texts, strict=True):
        column.markdown(text)
