"""The page Lecture: tours, their editor, and the view that fills the window."""
