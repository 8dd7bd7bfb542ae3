"""WBC count: find, type and count the white cells of uploaded fields."""

from functools import partial

from ui.components import shared
from ui.components.page import compact_header
from ui.count.intake import choose_profile, example_buttons, explain
from ui.count.results import show_results
from ui.upload.controls import read_uploads, show_problems
from ui.upload.session import open_upload_session

bar = compact_header(
    "WBC count",
    "Drop fields of a stained blood smear. Leukoscope finds, types and counts the white cells, "
    "and sets uncertain ones aside for you.",
)
shared.open_analyzer()
session = open_upload_session("wbc")
session.profile = choose_profile()
read_uploads(session, partial(example_buttons, session))
if session.images:
    show_results(session, bar)
else:
    show_problems(session)
    explain()
