"""The list of patients, page by page."""

from math import ceil
from typing import get_args

import streamlit as st

from core.cases.audit import record_view
from core.cases.database import Database
from core.cases.listing import PAGE, search_patients
from core.cases.records import CaseState, ListedPatient, User
from ui.components.cases import no_cases, patient_facts, patient_link, state_badge
from ui.components.shared import number_of
from ui.patients.edit import add_patient


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
    wanted: CaseState | None = None if state == states[0] else state
    found = search_patients(database, text, state=wanted)
    record_view(database, user.name, "list patients")
    listing = st.container(gap="xsmall")
    pages = ceil(found.total / PAGE)
    if pages > 1:
        page = min(st.pagination(pages, key="page", bind="query-params"), pages)
        if page > 1:
            found = search_patients(database, text, state=wanted, offset=PAGE * (page - 1))
    with listing:
        if found.total:
            st.caption(number_of(found.total, "patient"))
        elif text or wanted:
            st.info("No patient matches. Change the search.", icon=":material/search_off:")
        else:
            no_cases()
        for line in found.items:
            _show_line(line)
    add_patient(database, user)


def _show_line(line: ListedPatient) -> None:
    """Show one patient of the list with the last sample."""
    patient, last = line.patient, line.last
    when = f"last sample {last.taken:%Y-%m-%d}" if last else "no samples"
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        patient_link(patient.id, patient.identifier)
        st.markdown(" · ".join(filter(None, (patient_facts(patient), when))), width="content")
        if last:
            st.markdown(state_badge(last.state), width="content")
