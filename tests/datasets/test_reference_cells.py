import io
import re
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from core.datasets.reference_cells import (
    FOLDER,
    cell_sources,
    fetch_cells,
    public_cells,
    read_cells,
    sets_to_fetch,
)
from core.datasets.repack import picture_hash
from core.datasets.sources import PUBLIC_SETS
from core.domain.taxonomy import CELL_TYPES, SUBTYPES
from core.errors import DataError
from core.settings import get_settings


@pytest.fixture
def site():
    """Serve `files`; those in `broken` end half-way; `ranges` counts answers with a part."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = server.files.get(unquote(self.path))
            asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
            if content is None:
                self.send_error(404)
                return
            if asked and server.gives_parts:
                first, last = asked.groups()
                size = len(content)
                start = int(first) if first else max(0, size - int(last))
                end = min(int(last), size - 1) if first and last else size - 1
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
                content = content[start : end + 1]
                server.sent += len(content)
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            half = unquote(self.path) in server.broken
            self.wfile.write(content[: len(content) // 2 if half else None])

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.broken, server.gives_parts, server.sent = {}, set(), True, 0
    server.address = f"http://127.0.0.1:{server.server_port}/"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def settings(tmp_path):
    folders = {"data": tmp_path / "data", "store": tmp_path / "store"}
    return get_settings().model_copy(update=folders)


def published(pack, cell):
    """Return a packed cell as its publisher has it: a larger JPEG."""
    content = pack.read(PUBLIC_SETS[cell.set].archive, cell.member)
    with Image.open(io.BytesIO(content)) as image:
        larger = image.convert("RGB").resize((360, 363), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    larger.save(stream, "JPEG", quality=90)
    return stream.getvalue()


@pytest.fixture(scope="module")
def pbc_archive(pack):
    cells = [cell for cells in cell_sources()["pbc"].cells.values() for cell in cells]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("PBC_dataset_normal_DIB/basophil/BA_0.jpg", bytes(5_000_000))
        for cell in cells:
            name = PurePosixPath(cell.member).with_suffix(".jpg")
            archive.writestr(f"PBC_dataset_normal_DIB/{name}", published(pack, cell))
    return stream.getvalue()


def test_every_type_and_subtype_has_cells_and_they_are_those_of_the_packed_sets(pack):
    for key in (*CELL_TYPES, *SUBTYPES):
        cells = public_cells(key)
        assert len(cells) >= 3, key
        found = read_cells(cells, 3)
        assert [cell for cell, _ in found] == list(cells[:3])
        assert {pixels.shape for _, pixels in found} == {(192, 192, 3)}
    for source in cell_sources().values():
        for cell in (cell for cells in source.cells.values() for cell in cells):
            content = pack.read(PUBLIC_SETS[cell.set].archive, cell.member)
            assert picture_hash(content) == cell.fingerprint
    assert {PurePosixPath(c.member).name[:3] for c in public_cells("neutrophil")} == {"BNE", "SNE"}
    assert public_cells("rouleaux") == ()


@pytest.mark.parametrize("gives_parts", [True, False])
def test_of_an_archive_only_the_cells_are_read_if_its_server_gives_parts(
    pack, pbc_archive, site, settings, gives_parts
):
    site.files["/pbc.zip"], site.gives_parts = pbc_archive, gives_parts
    assert sets_to_fetch("band", settings) == ("pbc",)
    told = []
    kept = fetch_cells(
        "pbc", settings, lambda share, text: told.append((share, text)), f"{site.address}pbc.zip"
    )
    assert kept == 66
    assert told[-1] == (1.0, "66 of 66 cells")
    assert (0 < site.sent < len(pbc_archive) - 4_000_000) == gives_parts
    assert sets_to_fetch("band", settings) == ()
    for (cell, pixels), (packed, expected) in zip(
        read_cells(public_cells("band"), 6, settings),
        read_cells(public_cells("band"), 6),
        strict=True,
    ):
        assert cell == packed
        assert np.abs(pixels.astype(int) - expected).mean() < 6
    assert not list((settings.store / FOLDER).glob("*.part"))


def deepapl(pack, site):
    """Serve the files of DeepAPL, each with one of the cells it may be."""
    source = cell_sources()["deepapl"]
    given = {key: iter(cells) for key, cells in source.cells.items()}
    prefixes = {"BL": "blast", "SMU": "smudge_cell", "VLY": "variant_lymphocyte"}
    prefixes |= {"PC": "plasma_cell", "PMO": "promonocyte", "GT": "giant_platelet"}
    for file in source.files:
        key = prefixes[PurePosixPath(file).name.split("_")[0]]
        site.files[f"/{file}"] = published(pack, next(given[key]))
    return [f"/{file}" for file in source.files]


def test_a_changed_or_damaged_image_is_refused_and_the_others_are_kept(pack, site, settings):
    files = deepapl(pack, site)
    site.files[files[0]] = b"<html>Not here</html>"
    with pytest.raises(DataError, match=r"1 of 30 cells of DeepAPL .* its source changed"):
        fetch_cells("deepapl", settings, address=site.address)
    assert len(read_cells(public_cells("blast"), 9, settings)) == 4
    assert sets_to_fetch("promonocyte", settings) == ()
    kept = settings.store / FOLDER / "deepapl" / public_cells("promonocyte")[0].member
    kept.write_bytes(kept.read_bytes()[:-1])  # damage: as if it was not there
    assert len(read_cells(public_cells("promonocyte"), 9, settings)) == 4


def test_a_broken_download_says_so_and_keeps_what_came(pack, site, settings):
    files = deepapl(pack, site)
    site.broken.add(files[2])
    with pytest.raises(DataError, match="DeepAPL cannot be reached or broke off after 2 of 30"):
        fetch_cells("deepapl", settings, address=site.address)
    assert len(read_cells(public_cells("blast"), 9, settings)) == 2
    with pytest.raises(DataError, match="PBC cannot be reached"):
        fetch_cells("pbc", settings, address=f"{site.address}nowhere.zip")
    site.broken.clear()
    assert fetch_cells("deepapl", settings, address=site.address) == 30


def test_a_store_that_cannot_be_written_is_named(pack, site, settings):
    deepapl(pack, site)
    settings.store.write_text("no folder")
    with pytest.raises(DataError, match="cannot be written to the store"):
        fetch_cells("deepapl", settings, address=site.address)
