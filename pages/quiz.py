"""Quiz: learn to name cells and to count fields, alone or in a class."""

from ui.components.page import header
from ui.quiz.page import show_page

header(
    "Quiz",
    "Name cells and count fields. What you miss comes back the next day.",
    for_everyone=True,
)
show_page()
