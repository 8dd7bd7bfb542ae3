"""From draft to signature: what is signed, conclusion, comments and links of a case."""

from collections.abc import Sequence
from functools import partial

import streamlit as st

from core.cases.range_tables import ranges_in_force
from core.cases.records import Case, Link, UnfinishedText
from core.cases.sharing import LINK_DAYS, comment, links, revoke, share
from core.cases.signing import mark_reviewed, reopen, sign, signatures_needed
from core.cases.unfinished import unfinished_texts
from core.errors import SettingsError
from core.exports.conclusions import conclusion_templates, filled_conclusion
from core.exports.summary import CaseSummary, overridden_text, review_frame, summarise
from ui.components.actions import run_action
from ui.components.cases import errors_shown, local_time, show_comments
from ui.components.findings import list_flags
from ui.components.shared import metrics, number_of, on_phone, plain
from ui.review.session import ACTION, ReviewSession, review_button, text_key
from ui.review.writing import send_while_typing, write_text

FRESH_LINK, DAYS = "review_fresh_link", "review_link_days"
REASON = "review_reason"
_ON_PHONES = ("type", "cells", "percent", "unseen", "overridden", "limits", "range")
"""Columns there, where the first four are in view."""

# Beside each other on a tablet, the table would hide its last columns.
_STACKED = """<style>@media (max-width: 1000px) {
.st-key-sign > * > [data-testid='stHorizontalBlock'] {flex-wrap: wrap}
.st-key-sign > * > [data-testid='stHorizontalBlock'] > [data-testid='stColumn'] {min-width: 100%}
}</style>"""


def show_signing(session: ReviewSession, case: Case) -> None:
    """Show what is signed, the signatures, links and comments, and what is missing to sign."""
    with errors_shown(end_page=True):
        summary = summarise(case, ranges_in_force(session.database))
        wanted = signatures_needed(session.database, session.user, case.analyses)
        conclusions = unfinished_texts(session.database, case.sample.id, "conclusion")
        comments = unfinished_texts(session.database, case.sample.id, "comment")
    send_while_typing(session.user.name)
    st.html(_STACKED)
    left, right = st.container(key="sign").columns([1.6, 1], gap="medium")
    with left:
        _show_signed(summary)
    with right:
        _show_state(session, summary, wanted, conclusions)
        show_comments(case)
        _write_comment(session, case.sample.id, comments)
    _show_links(session, case)


def _show_signed(summary: CaseSummary) -> None:
    """Show the numbers that a signature stands for, and which of them nobody looked at."""
    tally = summary.review
    unseen = sum(tally.unseen.values()) + tally.uncertain
    overridden = sum(tally.overridden.values())
    st.header("What you sign")
    metrics(
        {
            "Reviewed": (str(tally.reviewed), None, "White cells that a reviewer labelled."),
            "Unseen": (
                str(unseen),
                None,
                "White cells that no reviewer labelled: they count as the model typed them.",
            ),
            "Overridden": (
                str(overridden),
                None,
                "White cells that the model was certain of and a reviewer labelled otherwise.",
            ),
        }
    )
    changes = overridden_text(tally)
    if changes:
        st.markdown(f"Model → reviewer: {plain(changes)}.")
    number = st.column_config.NumberColumn
    reviewed = review_frame(summary).set_index("type")
    st.dataframe(
        [
            {
                "type": row.name + ("" if row in summary.rows else ", per 100"),
                "cells": row.share.count,
                "percent": row.percent.estimate and row.percent.estimate.value,
                "limits": row.share.limits_text,
                "range": row.percent.range_text,
                "unseen": int(reviewed["unseen"].get(row.key, 0)),
                "overridden": int(reviewed["overridden"].get(row.key, 0)),
            }
            for row in (*summary.rows, *summary.beside)
        ],
        hide_index=True,
        height="content",
        column_order=_ON_PHONES if on_phone() else None,
        column_config={
            "type": st.column_config.TextColumn("Type", pinned=True, width=158),
            "cells": number("Cells", width=50),
            "percent": number("%", format="%.1f", width=50),
            "limits": st.column_config.TextColumn("95 % limits", width=84),
            "range": st.column_config.TextColumn("Range", width=62),
            "unseen": number("Unseen", help="Cells that nobody labelled", width=62),
            "overridden": number(
                "Changed", help="Cells that the model called another type", width=68
            ),
        },
        alt="Differential to be signed, with the cells that nobody looked at",
    )
    st.markdown("**Flags**")
    if not summary.flags:
        st.caption("None.")
    list_flags(summary.flags)


def _show_state(
    session: ReviewSession,
    summary: CaseSummary,
    wanted: int,
    conclusions: Sequence[UnfinishedText],
) -> None:
    case = summary.case
    sample = case.sample
    st.header("Signature")
    for signature in case.signatures:
        st.markdown(
            f":green-badge[:material/verified: signed] by **{plain(signature.reviewer)}** on "
            f"{local_time(signature.at)}"
        )
    blocked = _blocked(session, case)
    if wanted > 1 and sample.state != "signed":
        st.caption("Two people must sign this case.")
    _conclude(session, summary, conclusions)
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
                lambda: session.saw(
                    sign(
                        session.database,
                        session.user,
                        sample,
                        conclusion=session.kept_text("conclusion", sample.id),
                    )
                ),
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


def _conclude(
    session: ReviewSession, summary: CaseSummary, conclusions: Sequence[UnfinishedText]
) -> None:
    """Let a signer write the conclusion, or show what was signed."""
    case, sample_id = summary.case, summary.case.sample.id
    key, template = text_key("conclusion", sample_id), f"review_template_{sample_id}"
    if case.sample.state == "signed":
        st.markdown("**Conclusion**")
        st.text(case.conclusion or "None.")
        return
    if session.barred_by_role():
        return

    def insert(text: str) -> None:
        st.session_state[key] = "\n".join(filter(None, (st.session_state[key], text)))
        session.keep_text("conclusion", sample_id)

    def insert_template() -> None:
        chosen = templates[st.session_state[template]]
        st.session_state[template] = None
        run_action(ACTION, lambda: insert(filled_conclusion(chosen, summary.counted)))

    try:
        templates = conclusion_templates()
    except SettingsError as error:
        st.warning(plain(str(error)), icon=":material/warning:")
        templates = {}
    if templates:
        st.selectbox(
            "Template",
            list(templates),
            index=None,
            key=template,
            on_change=insert_template,
            placeholder="Insert a template",
            label_visibility="collapsed",
        )
    write_text(
        session,
        "conclusion",
        sample_id,
        conclusions,
        "Conclusion",
        kept="No report holds it before you sign.",
        start=case.conclusion,
        height=120,
        help="Signed with your name; it stands in every report and cannot be changed afterwards.",
    )
    signed = {signature.reviewer for signature in case.signatures}
    for other in conclusions:
        if other.author in signed | {session.user.name} or not (other.text.strip() and other.at):
            continue
        with st.container(border=True, gap="xsmall"):
            author = plain(other.author or "A user who was removed")
            st.caption(f"{author}, {local_time(other.at)}, not signed")
            st.text(other.text)
            review_button(
                "Add to your conclusion",
                f"review_insert_{other.id}",
                partial(insert, other.text),
                icon=":material/add:",
            )


def _blocked(session: ReviewSession, case: Case) -> str | None:
    """Return what prevents the next step to a signature, or None."""
    if case.sample.state == "signed":
        return "The case is signed and read-only."
    if barred := session.why_not(case.sample):
        return barred
    if waiting := sum(analysis.counts.uncertain for analysis in case.analyses):
        cells = number_of(waiting, "uncertain white cell")
        them = "it" if waiting == 1 else "them"
        return f"{cells} left to review. Label {them} in the view Cells first."
    if session.user.name in [signature.reviewer for signature in case.signatures]:
        return "You have signed this case. Another user must give the second signature."
    return None


def _write_comment(
    session: ReviewSession, sample_id: int, comments: Sequence[UnfinishedText]
) -> None:
    key = text_key("comment", sample_id)

    def write() -> None:
        comment(session.database, session.user, sample_id, session.kept_text("comment", sample_id))
        st.session_state[key] = ""
        session.keep_text("comment", sample_id)

    write_text(
        session,
        "comment",
        sample_id,
        comments,
        "Your comment",
        kept="Nobody else sees it before you add it.",
        height=90,
    )
    review_button("Add comment", "review_add_comment", write, icon=":material/comment:")


def _show_links(session: ReviewSession, case: Case) -> None:
    st.header("Links to this case")
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
