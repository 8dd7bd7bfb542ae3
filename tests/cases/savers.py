"""Saves cases in children that are killed at random moments; run by test_crashes.py.

Arguments: the store, the database's address or nothing, how many children to kill. Each child
writes the id of a sample to `saved.txt` once its save has returned.
"""

import os
import random
import signal
import sys
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from core.cases.database import Database, open_database
from core.cases.patients import create_patient
from core.cases.records import PatientDetails, SampleDetails
from core.cases.reviews import label_cells, move_cell
from core.cases.samples import add_fields, load_case, save_sample
from core.domain.boxes import Box
from core.domain.results import FieldImage, ImageProperties
from core.settings import Settings
from tests.cases.made import REVIEWER, new_field, red, white

LONGEST_LIFE = 4
"""In times a first save takes on this machine now: some children die before theirs, some later."""
MOVED = Box(12, 20, 30, 31)


def noise(seed: int) -> FieldImage:
    """Make a small picture that no other seed gives."""
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)
    return FieldImage(f"{seed}.png", pixels, f"{seed:064x}", ImageProperties("PNG", "RGB", 8, 1))


def save_forever(settings: Settings, patient_id: int, told: int) -> None:
    """Save a sample of two fields, add a third, name a cell, move it; again and again."""
    database = open_database(settings)
    saved = os.open(settings.store / "saved.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(told, b"ready")
    while True:
        save_once(database, patient_id, saved)


def save_once(database: Database, patient_id: int, saved: int) -> None:
    """Save one sample in four steps and tell of the first."""
    fields = [
        new_field(noise(random.getrandbits(60)), white(), red(), white("monocyte"))
        for _ in range(3)
    ]
    details = SampleDetails(date(2026, 1, 1))
    sample = save_sample(database, REVIEWER, patient_id, details, fields[:2])
    os.write(saved, f"{sample.id}\n".encode())
    sample = add_fields(database, REVIEWER, sample, fields[2:])
    cell_id = load_case(database, sample.id).fields[0].cell_ids[0]
    sample, _ = label_cells(database, REVIEWER, sample, {cell_id: "basophil"})
    move_cell(database, REVIEWER, sample, cell_id, replace(white(), box=MOVED))


def main() -> None:
    """Fork the children one after another and kill each."""
    store, address, number = sys.argv[1:]
    settings = Settings(_env_file=None, store=Path(store), database_url=address)
    database = open_database(settings)
    patient = create_patient(database, REVIEWER, PatientDetails("P"))
    begun = time.perf_counter()
    save_once(database, patient.id, os.open(os.devnull, os.O_WRONLY))
    longest_life = LONGEST_LIFE * (time.perf_counter() - begun)
    database.engine.dispose()
    for _ in range(int(number)):
        hears, told = os.pipe()
        child = os.fork()
        if child == 0:
            save_forever(settings, patient.id, told)
        os.read(hears, 5)
        time.sleep(random.uniform(0, longest_life))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(hears)
        os.close(told)


if __name__ == "__main__":
    main()
