"""Kills the server at random moments of a visit, and checks that no confirmed decision is lost.

    python -m benchmarks.kill_server [--kills 10] [--seed 1] [--longest 10]

A visitor uploads a synthetic field in headless Chromium, labels, adds, moves and removes cells on
the field, reloads the page, goes Back, saves the draft to a patient, decides on the uncertain
cells, writes a conclusion and signs with it, again and again. SIGKILL ends the server at a random
moment, up to `--longest` seconds after a stage of the first visit began; each of `STAGES` has its
turn. The server starts again on its store. Everything that the page had confirmed must be there
then: each field with its image, each decision on a cell, each patient, each conclusion, signed or
not, and each signature. The draft must open again, and the audit trail be whole. Prints what was
confirmed, in which stages the server was killed, and what is missing as JSON.

The exit status is 1 when anything is missing.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from playwright.sync_api import Error as BrowserError
from sqlalchemy import select

from core.cases.audit import verify
from core.cases.database import Database, open_database
from core.cases.orm import (
    CellRow,
    FieldRow,
    PatientRow,
    SampleRow,
    SignatureRow,
    UnfinishedTextRow,
)
from core.domain.agreement import LABELS as LABEL_KEYS
from core.domain.taxonomy import NOT_A_WHITE_CELL, label_name
from core.errors import LeukoscopeError
from core.settings import PROJECT_ROOT, Settings
from core.synthetic.fields import make_field
from tests.browser.conftest import CHROMIUM, free_port, visiting
from tests.browser.visits import settled, upload
from ui.review.field import MODES

START = 240
"""Seconds in which the server must answer after a start."""
CONFIRM = 60
"""Seconds in which the page must confirm an action."""
STAGES = ("conclude", "sign", "save", "decide", "upload")
"""Of a visit, in the order of their turns. A stage that is shorter than the random time until the
kill is followed by the next one of the visit."""
DECISIONS = 3
"""In a visit, on the field of the draft."""
HELD = 400
"""Milliseconds in which the workbench lets no label through for a cell that was just drawn."""
FIRST_SEED = 50_000
"""Of the synthetic fields."""
REMOVED = "not a white cell"
LABELS = ("lymphocyte", "monocyte", "eosinophil", "basophil")


@dataclass
class Confirmed:
    """What the page confirmed, and what was under way when the server was killed."""

    fields: set[str] = field(default_factory=set)
    """Names of files."""
    labels: dict[tuple[str, int], str] = field(default_factory=dict)
    """By file and number of the cell."""
    boxes: dict[tuple[str, int], tuple[float, float]] = field(default_factory=dict)
    """Left and top of moved boxes."""
    patients: set[str] = field(default_factory=set)
    conclusions: dict[str, str] = field(default_factory=dict)
    """Texts that the page said are kept, by patient; signed, they are the same."""
    signed: set[str] = field(default_factory=set)
    """Patients whose sample the page said is signed."""
    under_way: set[tuple[str, int]] = field(default_factory=set)
    """Cells on which a decision was sent and not confirmed: it was stored, or not."""
    actions: Counter[str] = field(default_factory=Counter)


class Server:
    """The app on one store and port, to be killed and started again."""

    def __init__(self, store: Path) -> None:
        self.address = f"http://127.0.0.1:{free_port()}"
        self._store = store
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server. Raises RuntimeError when it does not answer."""
        port = self.address.rpartition(":")[2]
        process = self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "core", "serve", "--port", port],
            cwd=PROJECT_ROOT,
            env=os.environ | {"LEUKOSCOPE_STORE": str(self._store), "LEUKOSCOPE_DATABASE_URL": ""},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + START
        while time.monotonic() < end and process.poll() is None:
            with suppress(OSError):
                urllib.request.urlopen(f"{self.address}/_stcore/health", timeout=2).close()  # noqa: S310
                return
            time.sleep(0.5)
        raise RuntimeError("the server does not start")

    def kill(self) -> None:
        """End the server with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Visit:
    """A visitor who uploads, decides on cells and saves, until the server is gone."""

    def __init__(
        self,
        page: Page,
        confirmed: Confirmed,
        number: int,
        folder: Path,
        begins: Callable[[str], None],
    ) -> None:
        """Let a visitor begin; `number` marks their files and patients.

        `begins` receives the name of each stage as it begins.
        """
        self._page, self._confirmed, self._number = page, confirmed, number
        self._folder, self._uploads, self._begins = folder, 0, begins
        self.draft: str | None = None
        """Path of the last draft that holds a field."""

    def go_on(self) -> None:
        """Visit without an end. Raises BrowserError or AssertionError once the server is gone."""
        while True:
            self._begins("upload")
            self._page.goto("/wbc_count")
            file = self._upload()
            self.draft = urlsplit(self._page.url)._replace(scheme="", netloc="").geturl()
            self._begins("decide")
            self._page.get_by_role("link", name="Review these cells").click()
            self._page.get_by_role("radio", name="Fields").click()
            for _ in range(DECISIONS):
                random.choice((self._label, self._add, self._move, self._remove))(file)
            self._page.reload()
            expect(self._page.locator("svg .cell").first).to_be_visible()
            while "/review" in self._page.url:
                self._page.go_back()
            self._begins("save")
            patient = self._save()
            self.draft = None
            self._begins("conclude")
            self._page.get_by_role("link", name=re.compile("^Review sample")).click()
            self._agree(file)
            conclusion = self._conclude(patient)
            self._begins("sign")
            self._sign(patient, conclusion)

    def _upload(self) -> str:
        """Upload a new field; return its name."""
        self._uploads += 1
        name = f"field_{self._number}_{self._uploads}.png"
        stream = BytesIO()
        seed = FIRST_SEED + 1000 * self._number + self._uploads
        Image.fromarray(make_field(seed).pixels).save(stream, "PNG")
        file = self._folder / name
        file.write_bytes(stream.getvalue())
        upload(self._page, file)
        expect(self._page.get_by_role("link", name="Review these cells")).to_be_visible()
        settled(self._page)
        self._confirm("upload")
        self._confirmed.fields.add(name)
        return name

    def _label(self, file: str) -> None:
        cell, number = self._cell("Inspect")
        now = cell.get_attribute("aria-label") or ""
        label = random.choice([one for one in LABELS if label_name(one).lower() not in now])
        self._confirmed.under_way.add((file, number))
        self._choose(cell)
        self._page.get_by_role("combobox", name="Label").fill(label_name(label))
        self._page.get_by_role("option", name=label_name(label), exact=True).click()
        self._page.get_by_role("button", name="Save", exact=True).click()
        expect(cell).to_have_attribute("aria-label", re.compile(label_name(label).lower()))
        self._confirm("label", (file, number), label)

    def _remove(self, file: str) -> None:
        cell, number = self._cell("Remove a false one")
        if REMOVED in (cell.get_attribute("aria-label") or ""):
            return
        self._confirmed.under_way.add((file, number))
        cell.click()
        expect(cell).to_have_attribute("aria-label", re.compile(REMOVED))
        self._confirm("remove", (file, number), NOT_A_WHITE_CELL)

    def _add(self, file: str) -> None:
        cells = self._mode("Add a missed cell")
        expect(self._page.locator("svg.add")).to_be_visible()
        before = cells.count()
        box = self._page.locator("svg.add").bounding_box()
        assert box is not None
        place = {"x": box["width"] * random.uniform(0.2, 0.8), "y": 0.5 * box["height"]}
        self._page.locator("svg.add").click(position=place)
        expect(cells).to_have_count(before + 1)
        self._confirm("add", (file, _number(cells.last)), "neutrophil")

    def _move(self, file: str) -> None:
        cell, number = self._cell("Move or resize")
        self._confirmed.under_way.add((file, number))
        self._choose(cell)
        inputs = [self._page.get_by_role("spinbutton", name=name) for name in ("Left", "Top")]
        for one in inputs:
            one.fill(f"{random.uniform(5, 300):.1f}")
        wanted = [float(one.input_value()) for one in inputs]
        self._page.get_by_role("button", name="Save the box").click()
        rect = cell.locator("rect")
        expect(rect).to_have_attribute("x", re.compile(rf"^{wanted[0]:g}$"))
        expect(rect).to_have_attribute("y", re.compile(rf"^{wanted[1]:g}$"))
        settled(self._page)
        self._confirmed.boxes[file, number] = wanted[0], wanted[1]
        self._confirm("move", (file, number))

    def _save(self) -> str:
        """Save the draft to a new patient; return the identifier."""
        name = f"P-{self._number}-{self._uploads}"
        self._page.get_by_text("Save to a patient").click()
        identifier = self._page.get_by_role("textbox", name="Patient identifier")
        identifier.fill(name)
        identifier.press("Enter")
        save = self._page.get_by_role("button", name="Save 1 field")
        expect(save).to_be_enabled()
        settled(self._page)
        save.click()
        expect(self._page.get_by_text("1 of 1 saved")).to_be_visible()
        self._confirm("save")
        self._confirmed.patients.add(name)
        return name

    def _agree(self, file: str) -> None:
        """Agree with the model on every uncertain cell, on the workbench."""
        bench = self._page.locator(".bench")
        done = self._page.get_by_text(re.compile("^All uncertain cells are reviewed"))
        nobody = self._page.get_by_text(re.compile("^No white cell to review here"))
        left = bench.locator(".position")
        expect(left.or_(done).or_(nobody)).to_be_visible()
        while left.is_visible() and "None left" not in (text := left.inner_text()):
            expect(bench.locator(".large .waits")).to_have_count(0)
            self._page.wait_for_timeout(HELD)
            number = int(bench.locator(".head b").inner_text().rpartition(".")[2])
            agree = bench.locator(".agree")
            name = agree.locator("span").inner_text().removeprefix("Agree: ")
            label = next(key for key in LABEL_KEYS if label_name(key) == name)
            self._confirmed.under_way.add((file, number))
            agree.click()
            expect(left.or_(done)).not_to_have_text(text)
            expect(bench.locator(".strip.busy")).to_have_count(0)
            self._confirm("agree", (file, number), label)

    def _conclude(self, patient: str) -> str:
        """Write a conclusion; return it once the page says that it is kept."""
        self._page.get_by_role("radio", name="Sign").click()
        text = f"Conclusion on {patient}, {random.random():.9f}"
        self._page.get_by_role("textbox", name="Conclusion").press_sequentially(text)
        expect(self._page.get_by_text(re.compile("^Kept .*before you sign"))).to_be_visible()
        expect(self._page.get_by_test_id("stTextArea").first).to_contain_text(f"{len(text)}/")
        settled(self._page)
        self._confirm("conclude")
        self._confirmed.conclusions[patient] = text
        return text

    def _sign(self, patient: str, conclusion: str) -> None:
        self._page.get_by_role("button", name="Mark as reviewed").click()
        self._page.get_by_role("button", name="Sign", exact=True).click()
        expect(self._page.get_by_text("The case is signed and read-only.")).to_be_visible()
        expect(self._page.get_by_text(conclusion)).to_be_visible()
        self._confirm("sign")
        self._confirmed.signed.add(patient)

    def _mode(self, name: str) -> Locator:
        """Choose what a click does; return the cells."""
        self._page.get_by_role("radio", name=name).click()
        # The field is drawn anew for a mode: until then a click would mean another one.
        (mode,) = (mode for mode, label in MODES.items() if label.endswith(name))
        cells = self._page.locator(f"svg.{mode} .cell")
        expect(cells.first).to_be_visible()
        settled(self._page)
        return cells

    def _cell(self, mode: str) -> tuple[Locator, int]:
        """Choose what a click does; return one of the cells, and its number."""
        cells = self._mode(mode)
        cell = cells.nth(random.randrange(cells.count()))
        return cell, _number(cell)

    def _choose(self, cell: Locator) -> None:
        cell.click()
        expect(cell).to_have_class(re.compile("chosen"))
        settled(self._page)

    def _confirm(
        self, action: str, cell: tuple[str, int] | None = None, label: str | None = None
    ) -> None:
        self._confirmed.actions[action] += 1
        if cell is not None:
            self._confirmed.under_way.discard(cell)
            if label is not None:
                self._confirmed.labels[cell] = label


def _number(cell: Locator) -> int:
    """Return the number that stands at a cell."""
    return int(cell.locator("text").text_content() or "")


def missing(database: Database, confirmed: Confirmed) -> list[str]:
    """Return what was confirmed and is not in the store."""
    with database.reading() as session:
        fields = dict(session.execute(select(FieldRow.file, FieldRow.image)).all())
        patients = set(session.scalars(select(PatientRow.identifier)))
        samples = select(PatientRow.identifier, SampleRow.state, SampleRow.id).join(SampleRow)
        states = {patient: (state, key) for patient, state, key in session.execute(samples)}
        rows = session.execute(select(SignatureRow.sample_id, SignatureRow.conclusion))
        signatures = dict(rows.all())
        rows = session.execute(select(UnfinishedTextRow.sample_id, UnfinishedTextRow.text))
        texts = dict(rows.all())
        rows = session.execute(
            select(FieldRow.file, CellRow).join(FieldRow, FieldRow.id == CellRow.field_id)
        )
        cells = {(file, cell.number): cell for file, cell in rows}
    lost = [f"field {file}" for file in confirmed.fields - set(fields)]
    for file in confirmed.fields & set(fields):
        try:
            database.images.read(fields[file])
        except LeukoscopeError as error:
            lost.append(f"image of {file}: {error}")
    for key, label in confirmed.labels.items():
        if key not in confirmed.under_way and (key not in cells or cells[key].label != label):
            lost.append(f"label {label} of {key}")
    for key, place in confirmed.boxes.items():
        found = cells[key].box.xywh[:2] if key in cells else None
        if key not in confirmed.under_way and found != place:
            lost.append(f"box of {key} at {place}")
    lost += [f"patient {name}" for name in confirmed.patients - patients]
    for name, text in confirmed.conclusions.items():
        state, key = states.get(name, ("", 0))
        if name in confirmed.signed and (state, signatures.get(key)) != ("signed", text):
            lost.append(f"signature of {name}")
        elif text not in {texts.get(key), signatures.get(key)}:
            lost.append(f"conclusion of {name}")
    return lost if verify(database).whole else [*lost, "the audit trail is broken"]


class Killer:
    """Kills a server some seconds after a stage of a visit began."""

    def __init__(self, server: Server, stage: str, seconds: float) -> None:
        self._server, self._stage = server, stage
        self._timer = Timer(seconds, self._kill)
        self.now = ""
        """The stage that the visit is in."""
        self.killed: str | None = None
        """The stage that the server was killed in."""

    def begins(self, stage: str) -> None:
        """Note that a stage begins."""
        self.now = stage
        if stage == self._stage and not self._timer.ident:
            self._timer.start()

    def _kill(self) -> None:
        self.killed = self.now
        self._server.kill()


def visited(visit: Visit, killer: Killer) -> None:
    """Let a visitor work until the server is killed."""
    while killer.killed is None:
        try:
            visit.go_on()
        except (BrowserError, AssertionError) as error:
            if killer.killed is None:  # the machine is too slow, or the page differs
                sys.stderr.write(f"{str(error).partition('Aria snapshot')[0]}\n")


def opens(browser: Browser, server: Server, draft: str) -> bool:
    """Return whether a draft shows its field after the restart."""
    with visiting(browser, server.address) as page:
        page.set_default_timeout(1000 * START)  # the models are not loaded yet
        page.goto(draft)
        try:
            link = page.get_by_role("link", name="Review these cells")
            expect(link).to_be_visible(timeout=1000 * START)
        except AssertionError:
            # It was saved to the patient, and the page did not confirm it.
            return page.get_by_text("saved from this draft").is_visible()
        return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check; return the exit status."""
    parser = argparse.ArgumentParser(description="Kill the server and look for lost decisions.")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest", type=float, default=10.0, help="seconds from stage to kill")
    options = parser.parse_args(arguments)
    random.seed(options.seed)
    confirmed, lost, killed = Confirmed(), [], Counter[str]()
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        store = Path(folder, "store")
        settings = Settings(_env_file=None, store=store, database_url=None)
        server = Server(store)
        known = {"executable_path": str(CHROMIUM)} if CHROMIUM.exists() else {}
        browser = playwright.chromium.launch(args=["--no-sandbox"], **known)
        expect.set_options(timeout=1000 * CONFIRM)
        server.start()
        for number in range(options.kills):
            with visiting(browser, server.address) as page:
                page.set_default_timeout(1000 * CONFIRM)
                stage = STAGES[number % len(STAGES)]
                killer = Killer(server, stage, random.uniform(0, options.longest))
                visit = Visit(page, confirmed, number, Path(folder), killer.begins)
                visited(visit, killer)
                killed[str(killer.killed)] += 1
            database = open_database(settings)
            lost += missing(database, confirmed)
            database.engine.dispose()
            server.start()
            done = dict(confirmed.actions)
            sys.stderr.write(f"kill {number + 1} while {killer.killed}: {done}, missing {lost}\n")
            if visit.draft and not opens(browser, server, visit.draft):
                lost.append(f"the draft of visit {number} does not open")
        server.kill()
        browser.close()
    told = {
        "kills": options.kills,
        "killed_while": dict(killed),
        "confirmed": dict(confirmed.actions),
        "missing": lost,
    }
    sys.stdout.write(json.dumps(told, indent=2) + "\n")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
