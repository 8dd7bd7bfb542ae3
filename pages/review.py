"""Review: label white cells, possible blasts and the least confident first; then sign the case."""

import streamlit as st

from core.cases.database import get_database
from ui.components.cases import errors_shown, open_cases
from ui.components.page import compact_header, header
from ui.review.agreement import offer_site_profile, show_agreement, show_site_profile
from ui.review.bench import show_bench
from ui.review.link import show_linked_case
from ui.review.session import open_review_session, show_review_error
from ui.review.views import (
    AGREEMENT,
    CELLS,
    choose_scope,
    choose_view,
    open_agreement,
    scope_of_draft,
    show_draft,
    show_sample,
)
from ui.upload.session import DRAFT

_REVIEW = (
    "Review the white cells that the model is uncertain about. A reviewer's label replaces that of "
    "the model everywhere."
)
_OPINION = "The white cells of one case, as the model and its reviewers see them."

if "link" in st.query_params:
    header("Second opinion", _OPINION, for_everyone=True)  # which names one case
    token = st.query_params["link"]
    with errors_shown(end_page=True):
        opened = get_database()
    show_linked_case(opened, token)
    st.stop()
bar = compact_header("Review", _REVIEW)
session = open_review_session(*open_cases())
session.draft_id = None
with bar:
    if DRAFT in st.query_params:
        session.draft_id = show_draft(session, st.query_params[DRAFT])
        scope = scope_of_draft(session)
    else:
        scope = choose_scope(session)
    view = choose_view(scope)
if view == CELLS:
    show_bench(session, scope)
    if scope.draft_id is None:
        offer_site_profile(session, lambda: open_agreement(scope))
elif view == AGREEMENT:
    show_review_error(session)
    show_agreement(session, scope.sample_id)
    show_site_profile(session)
elif scope.sample_id:
    show_sample(session, scope.sample_id, view)
