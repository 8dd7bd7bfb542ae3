import runpy

from core.settings import PROJECT_ROOT


def test_the_readme_shows_the_measured_figures():
    script = runpy.run_path(str(PROJECT_ROOT / "benchmarks" / "readme_tables.py"))
    readme = (PROJECT_ROOT / "README.md").read_text()
    assert script["filled"](readme) == readme
    assert "| Detection, TXL-PBC test" in readme
