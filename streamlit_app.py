"""The app shell: page settings, navigation and sidebar."""

import streamlit as st

from core.settings import PROJECT_ROOT
from ui.components.shared import FRAMED

ASSETS = PROJECT_ROOT / "assets"

# Before the navigation: otherwise the browser loads the page icon from a font server.
st.set_page_config(page_icon=str(ASSETS / "logo_icon.svg"), layout="wide")
st.logo(str(ASSETS / "logo.svg"), icon_image=str(ASSETS / "logo_icon.svg"), size="large")

page = st.navigation(
    {
        "": [
            st.Page(
                "pages/overview.py",
                title="Overview",
                icon=":material/home:",
                default=True,
                help="What Leukoscope does, an example, and the accuracy of its models.",
            ),
        ],
        "Analyse": [
            st.Page(
                "pages/wbc_count.py",
                title="WBC count",
                icon=":material/blur_circular:",
                url_path="wbc_count",
                help="Find, count and type the white cells of smear fields.",
            ),
            st.Page(
                "pages/all_stage.py",
                title="ALL stage",
                icon=":material/stacked_line_chart:",
                url_path="all_stage",
                help="Grade fields of suspected acute lymphoblastic leukaemia.",
            ),
        ],
        "Laboratory": [
            st.Page(
                "pages/patients.py",
                title="Patients",
                icon=":material/groups:",
                url_path="patients",
                help="Stored cases: trends, reports, comparison of two samples.",
            ),
            st.Page(
                "pages/review.py",
                title="Review",
                icon=":material/fact_check:",
                url_path="review",
                help="Label uncertain cells, correct the model, sign cases.",
            ),
            st.Page(
                "pages/settings.py",
                title="Settings",
                icon=":material/settings:",
                url_path="settings",
                help="Users and roles, reference ranges, settings, audit trail.",
            ),
        ],
        "Trust": [
            st.Page(
                "pages/model_metrics.py",
                title="Model metrics",
                icon=":material/analytics:",
                url_path="model_metrics",
                help="Accuracy of the models by data set and class.",
            ),
            st.Page(
                "pages/about.py",
                title="About",
                icon=":material/info:",
                url_path="about",
                help="Model cards, licences and intended use.",
            ),
        ],
    }
)
st.set_page_config(page_title=f"{page.title} · Leukoscope")
# The tool bar of tables saves CSV with formulas that spreadsheets run; pages offer safe files.
st.html("<style>button[aria-label^='Download as CSV'] {display: none}</style>")
st.session_state[FRAMED] = True
page.run()
