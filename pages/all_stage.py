"""ALL stage: grade uploaded fields, each alone and pooled by patient."""

import streamlit as st

from ui.all_stage.results import explain, show_results
from ui.components import shared
from ui.components.page import header
from ui.upload.controls import read_uploads, show_problems
from ui.upload.session import open_upload_session

header(
    "ALL stage",
    "Drop fields of a smear with suspected acute lymphoblastic leukaemia. Leukoscope suggests a "
    "class for each field, and one pooled answer for all fields of a patient. Where no class can "
    "be trusted, it counts the possible blasts.",
)
shared.open_analyzer()
session = open_upload_session("stage")
read_uploads(session)
if session.images:
    show_results(session)
else:
    show_problems(session)
    st.info(
        "Any field is answered. One that looks like those the model knows gets a class; large ones "
        "are graded in tiles. For others, of another hospital, stain or magnification, no class is "
        "suggested: their possible blasts are counted and shown.\n\n"
        "Fields with known classes: the public data set *Leukemia* of Taleqani Hospital, Tehran "
        "(Ghaderzadeh and others, 2021), on Kaggle as `mehradaria/leukemia`. The model was trained "
        "on them, so they show how the page works, not how accurate the model is.",
        icon=":material/dataset:",
    )
    explain()
