import runpy

from core.settings import PROJECT_ROOT


def test_the_readme_shows_the_measured_figures():
    script = runpy.run_path(str(PROJECT_ROOT / "benchmarks" / "readme_tables.py"))
    readme = (PROJECT_ROOT / "README.md").read_text()
    assert script["filled"](readme) == readme
    assert "| Detection, TXL-PBC test" in readme


def test_a_goal_that_is_met_only_by_rounding_is_not_met():
    goal = runpy.run_path(str(PROJECT_ROOT / "benchmarks" / "goals.py"))["Goal"]
    assert goal("Counts", 98, 97.96, "One short.", digits=0).row().endswith("| 98 | One short. |")
    assert goal("Counts", 98, 98.0, "One short.").row().endswith("| reached |")
    assert goal("Error", 5, 5.04, "Too high.", at_most=True, digits=0).row().endswith("high. |")
