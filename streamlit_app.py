"""The app shell: page settings, navigation and sidebar."""

import streamlit as st

from core.settings import PROJECT_ROOT
from ui.components.page import FRAMED

ASSETS = PROJECT_ROOT / "assets"
# Script, title, icon and help of the pages, by section of the sidebar.
SECTIONS = {
    "": [
        ("overview", "Overview", "home", "An example, and the accuracy of the models."),
    ],
    "Analyse": [
        ("wbc_count", "WBC count", "blur_circular", "Find, count and type white cells of smears."),
        ("microscope", "Microscope", "biotech", "Look at whole slides, from overview to cells."),
        ("all_stage", "ALL stage", "stacked_line_chart", "Grade fields of suspected leukaemia."),
    ],
    "Laboratory": [
        ("patients", "Patients", "groups", "Stored cases: trends, reports, comparisons."),
        ("review", "Review", "fact_check", "Label uncertain cells and sign cases."),
        ("settings", "Settings", "settings", "Users, reference ranges, settings, audit trail."),
    ],
    "Teach": [
        ("atlas", "Atlas", "menu_book", "How to recognise each cell, with look-alikes."),
        ("attributes", "Attributes", "scatter_plot", "The eleven features, and a map of cells."),
        ("explain", "Explain a cell", "psychology", "Why the model suggests a type."),
        ("lecture", "Lecture", "co_present", "Tours for the lecture hall, and their editor."),
        ("quiz", "Quiz", "quiz", "Name cells, count fields, test a class."),
    ],
    "Trust": [
        ("model_metrics", "Model metrics", "analytics", "Accuracy by data set and class."),
        ("about", "About", "info", "Model cards, licences and intended use."),
    ],
}

# Before the navigation: otherwise the browser loads the page icon from a font server.
st.set_page_config(page_icon=str(ASSETS / "logo_icon.svg"), layout="wide")
st.logo(str(ASSETS / "logo.svg"), icon_image=str(ASSETS / "logo_icon.svg"), size="large")

# A link opens one case to somebody outside: no menu leads on from there.
is_linked = "link" in st.query_params
page = st.navigation(
    {
        section: [
            st.Page(
                f"pages/{script}.py",
                title=title,
                icon=f":material/{icon}:",
                default=script == "overview",
                help=help_text,
            )
            for script, title, icon, help_text in pages
        ]
        for section, pages in SECTIONS.items()
    },
    position="hidden" if is_linked else "sidebar",
    expanded=True,
)
st.set_page_config(page_title=f"{page.title} · Leukoscope")
# The tool bar of tables saves CSV with formulas that spreadsheets run; pages offer safe files.
st.html("<style>button[aria-label^='Download as CSV'] {display: none}</style>")
# Streamlit's captions have a contrast of 4.47 on white; WCAG 2.2 AA asks for 4.5.
st.html("<style>[data-testid='stCaptionContainer'] {opacity: 0.78}</style>")
# So have the names of keys on primary buttons: 4.2, on dark pages 2.7.
st.html("<style>[data-testid^='stBaseButton-primary'] kbd {color: inherit; opacity: 1}</style>")
# The chosen part of a segmented control has 3.7 on dark pages; the colours are those of links.
st.html("<style>button[data-selected='true'] p {color: light-dark(#7A2E6B, #D58BC4)}</style>")
if is_linked:
    st.html("<style>[data-testid='stMainMenu'] {display: none}</style>")
if FRAMED not in st.session_state and not is_linked:
    # Streamlit folds the sidebar on phones only; on a tablet it takes half of the page.
    fold = (ASSETS / "components" / "fold_sidebar.js").read_text(encoding="utf-8")
    with st.sidebar:
        st.components.v2.component("leukoscope_fold_sidebar", js=fold)(key="fold_sidebar", height=0)
st.session_state[FRAMED] = True
page.run()
