"""From draft to signature: state, comments and links of a case."""

import streamlit as st

from core.cases.names import LONGEST_COMMENT
from core.cases.records import Case, Link
from core.cases.sharing import LINK_DAYS, comment, links, revoke, share
from core.cases.signing import mark_reviewed, reopen, sign
from core.settings import get_settings
from ui.components.cases import errors_shown, show_comments
from ui.components.shared import number_of, plain
from ui.review.session import ReviewSession, review_button

FRESH_LINK, DAYS = "review_fresh_link", "review_link_days"
REASON, COMMENT = "review_reason", "review_case_comment"


def show_signing(session: ReviewSession, case: Case) -> None:
    """Show the signatures, links and comments of a case, and what is missing to sign it."""
    left, right = st.columns(2, gap="large")
    with left:
        _show_state(session, case)
        _show_links(session, case)
    with right:
        show_comments(case)
        _write_comment(session, case)


def _show_state(session: ReviewSession, case: Case) -> None:
    sample, wanted = case.sample, get_settings().signatures
    st.subheader("Signature")
    for signature in case.signatures:
        st.markdown(
            f":green-badge[:material/verified: signed] by **{plain(signature.reviewer)}** on "
            f"{signature.at:%Y-%m-%d at %H:%M} UTC"
        )
    blocked = _blocked(session, case)
    if blocked:
        st.info(plain(blocked), icon=":material/lock:")
    with st.container(horizontal=True):
        if sample.state == "draft":
            review_button(
                "Mark as reviewed",
                "review_mark",
                lambda: session.saw(mark_reviewed(session.database, session.user, sample)),
                type="primary",
                icon=":material/rate_review:",
                disabled=blocked is not None,
            )
        elif sample.state == "reviewed":
            review_button(
                "Sign" if wanted == 1 else f"Sign, {len(case.signatures) + 1} of {wanted}",
                "review_sign",
                lambda: session.saw(sign(session.database, session.user, sample)),
                type="primary",
                icon=":material/signature:",
                disabled=blocked is not None,
                help="Records your name and the time. After the last signature the case is "
                "read-only.",
            )
    if sample.state == "draft":
        return

    def reopen_case() -> None:
        reason = st.session_state[REASON]
        session.saw(reopen(session.database, session.user, sample, reason))
        st.session_state[REASON] = ""

    with st.expander("Reopen", icon=":material/lock_open:"):
        st.text_input("Reason", key=REASON, max_chars=500, placeholder="What needs correction")
        review_button(
            "Reopen the case",
            "review_reopen",
            reopen_case,
            disabled=session.barred_by_role() is not None,
            help="Signatures become void; the audit trail keeps them.",
        )


def _blocked(session: ReviewSession, case: Case) -> str | None:
    """Return what prevents the next step to a signature, or None."""
    if case.sample.state == "signed":
        return "The case is signed and read-only."
    if barred := session.why_not(case.sample):
        return barred
    if waiting := sum(analysis.counts.uncertain for analysis in case.analyses):
        cells = number_of(waiting, "uncertain white cell")
        return f"{cells} left to review. Label them in the queue or the gallery first."
    if session.user.name in [signature.reviewer for signature in case.signatures]:
        return "You have signed this case. Another user must give the second signature."
    return None


def _write_comment(session: ReviewSession, case: Case) -> None:
    def write() -> None:
        comment(session.database, session.user, case.sample.id, st.session_state[COMMENT])
        st.session_state[COMMENT] = ""

    st.text_area("Your comment", key=COMMENT, max_chars=LONGEST_COMMENT, height=90)
    review_button("Add comment", "review_add_comment", write, icon=":material/comment:")


def _show_links(session: ReviewSession, case: Case) -> None:
    st.subheader("Links to this case")
    barred = session.barred_by_role()
    if barred:
        st.caption(plain(barred))
        return
    st.caption(
        "Anyone with a link can read and comment on this one case without signing in. The link "
        "hides the patient's name. It works until it expires or is revoked."
    )

    def create() -> None:
        days = st.session_state[DAYS]
        created = share(session.database, session.user, case.sample.id, days)
        st.session_state[FRESH_LINK] = created

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.number_input("Days", 1, 365, LINK_DAYS, key=DAYS, width=140)
        review_button("Create a link", "review_share", create, icon=":material/link:")
    fresh: tuple[Link, str] | None = st.session_state.get(FRESH_LINK)
    if fresh and fresh[0].sample_id == case.sample.id:
        base = (st.context.url or "").partition("?")[0]
        st.code(f"{base}?link={fresh[1]}", language=None, wrap_lines=True)
        st.caption("Copy the link now: it is shown once.")
    with errors_shown():
        for link in links(session.database, case.sample.id):
            _show_link(session, link)


def _show_link(session: ReviewSession, link: Link) -> None:
    def revoke_link() -> None:
        revoke(session.database, session.user, link.id)
        fresh = st.session_state.get(FRESH_LINK)
        if fresh and fresh[0].id == link.id:
            del st.session_state[FRESH_LINK]

    with st.container(horizontal=True, vertical_alignment="center"):
        state = "revoked" if link.revoked else f"until {link.expires:%Y-%m-%d}"
        st.markdown(f"Link {link.id} by {plain(link.author)}, {state}")
        if not link.revoked:
            review_button("Revoke", f"review_revoke_{link.id}", revoke_link, type="tertiary")
