"""Agreement between model and reviewers, and the site profile made from reviewed cells."""

from collections.abc import Callable, Mapping

import streamlit as st

from core.adaptation.from_cases import (
    MOST_CELLS,
    default_name,
    keep_profile,
    learn_profile,
    types_to_learn,
)
from core.adaptation.site import LEAST_CELLS
from core.cases.queue import Pairs, model_agreement, pending_counts, reviewer_agreement
from core.cases.records import QueueFilter
from core.cases.reviews import label_counts
from core.cases.users import users
from core.charts.confusion import agreement_figure
from core.domain.agreement import agreement
from core.domain.taxonomy import CELL_TYPES, label_name
from core.inference.pipeline import get_analyzer
from core.inference.site_profile import SiteProfile, profile_names
from ui.components.cases import errors_shown
from ui.components.shared import chart, metrics, number_of, plain
from ui.review.session import ReviewSession, review_button

PROFILE, NAME = "review_profile", "review_profile_name"
MODEL = "The model"


def show_agreement(session: ReviewSession, sample_id: int | None) -> None:
    """Compare the model with the reviewers, and two reviewers with each other."""
    with errors_shown(end_page=True):
        everybody = [user.name for user in users(session.database)]
        left, right = st.columns(2, gap="large")
        with left:
            st.header("Model and reviewer")
            where = "of this sample" if sample_id else "of all samples"
            st.caption(f"Reviewed cells {where} that the model found.")
            pairs = model_agreement(session.database, sample_id)
            _show(pairs, MODEL, "Reviewer", "model", "No reviewed cells yet.")
            within = QueueFilter(sample_id=sample_id)
            uncertain, certain = pending_counts(session.database, within)
            st.caption(
                f"Not reviewed {where}: {number_of(certain, 'cell')} that the model typed with "
                f"certainty and {number_of(uncertain, 'other')}. Who reviews the uncertain cells "
                "only sees less agreement than there is on all."
            )
        with right:
            st.header("Two reviewers")
            if len(everybody) < 2:
                st.info(
                    "This server has only one user. Two reviewers are compared on cells that both "
                    "have labelled.",
                    icon=":material/group:",
                )
                return
            st.caption("Cells of all samples that both have labelled, by their last label.")
            first, second = st.columns(2)
            one = first.selectbox("First", everybody, key="review_first")
            others = [name for name in everybody if name != one]
            other = second.selectbox("Second", others, key="review_second")
            pairs = reviewer_agreement(session.database, one, other)
            _show(pairs, one, other, "reviewers", "No cell has labels of both.")


def _show(pairs: Pairs, first: str, second: str, key: str, empty: str) -> None:
    compared = agreement(pair for pair, number in pairs.items() for _ in range(number))
    if not compared.total:
        st.info(empty, icon=":material/grid_on:")
        return
    share, kappa = compared.share, compared.kappa
    metrics(
        {
            "Cells": (f"{compared.total:,}", None, None),
            "Agreement": (
                f"{share.value:.1f} %",
                f"{share.low:.1f}-{share.high:.1f}",
                "Cells with the same label, with exact 95 % confidence interval.",
            ),
            "Kappa": (
                f"{kappa.value:.2f}" if kappa else "none",
                f"{kappa.low:.2f}-{kappa.high:.2f}" if kappa else None,
                "Cohen's kappa: 1 is full agreement, 0 is chance, none with a single label.",
            ),
        }
    )
    chart(
        agreement_figure(compared, first, second, dark=st.context.theme.type == "dark"),
        f"review_matrix_{key}",
        f"Labels of {first} down, of {second} across",
    )


def offer_site_profile(session: ReviewSession, open_view: Callable[[], None]) -> None:
    """Offer to adapt the classifier once enough cells are named, unless there is a profile.

    `open_view` opens the view that fits one.
    """
    if profile_names():
        return
    with errors_shown():
        counts = label_counts(session.database)
        types = types_to_learn(counts)
        if types:
            st.button(
                "Adapt the classifier to this site",
                key="review_profile_offer",
                icon=":material/model_training:",
                on_click=open_view,
                help=f"{_listed({key: counts[key] for key in types})} are named by reviewers.",
            )


def show_site_profile(session: ReviewSession) -> None:
    """Offer to make a site profile from reviewed cells; it is never applied automatically."""
    st.header("Site profile")
    with errors_shown(end_page=True):
        counts = label_counts(session.database)
    types = types_to_learn(counts)
    if not types:
        st.info(
            f"The classifier can adapt to this site once two types have {LEAST_CELLS} or more "
            f"reviewed cells each. Reviewed now: {_listed(counts)}.",
            icon=":material/school:",
        )
        return
    st.caption(
        f"Uses the last {MOST_CELLS} reviewed cells of each type with {LEAST_CELLS} or more: "
        f"{_listed({key: counts[key] for key in types})}. Only the last layer of the classifier "
        "is refitted. The shipped model and stored cases stay unchanged."
    )
    barred = session.barred_by_role()

    def learn() -> None:
        st.session_state[PROFILE] = learn_profile(
            session.database, get_analyzer().classifier, types, st.session_state[NAME]
        )

    st.text_input("Name", default_name(), key=NAME, max_chars=60, width=320)
    review_button(
        "Fit a profile",
        "review_profile_try",
        learn,
        icon=":material/model_training:",
        disabled=barred is not None,
        help=barred and plain(barred),
    )
    learnt: SiteProfile | None = st.session_state.get(PROFILE)
    if learnt is not None:
        _show_profile(learnt)


def _listed(counts: Mapping[str, int]) -> str:
    types = [key for key in counts if key in CELL_TYPES]
    return ", ".join(number_of(counts[key], label_name(key).lower()) for key in types) or "none"


def _show_profile(learnt: SiteProfile) -> None:
    before, after = 100 * learnt.accuracy_before, 100 * learnt.accuracy_after
    metrics(
        {
            "Cells": (str(sum(learnt.cells.values())), None, None),
            "Before": (
                f"{before:.1f} %",
                None,
                "Reviewed cells that the shipped model types correctly.",
            ),
            "After": (
                f"{after:.1f} %",
                f"{after - before:+.1f} points",
                "Reviewed cells typed correctly with the profile, by leave-one-out.",
            ),
        }
    )

    def save() -> None:
        keep_profile(learnt)
        del st.session_state[PROFILE]
        st.toast(f"{plain(learnt.title)} is saved", icon=":material/check:")

    with st.container(horizontal=True):
        review_button(
            f"Save as {plain(learnt.title)}",
            "review_profile_save",
            save,
            type="primary",
            icon=":material/save:",
        )
        st.button(
            "Discard",
            key="review_profile_discard",
            on_click=lambda: st.session_state.pop(PROFILE, None),
        )
    st.caption(
        "A saved profile is used only when you choose it: on the page WBC count, or with "
        f"`--profile {learnt.name}` on the command line."
    )
