import io
import json
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.cli import main
from core.datasets.download import get, listing
from core.datasets.readers import open_set
from core.datasets.repack import pbc_split, picture_hash, taleqani_folds
from core.datasets.sources import PUBLIC_SETS
from core.errors import DataError
from core.settings import get_settings


def picture(form="JPEG", side=60):
    rng = np.random.default_rng(side)
    stream = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (side, side, 3), np.uint8)).save(stream, form)
    return stream.getvalue()


def zipped(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


VOC = """<annotation><object><name>WBC</name><bndbox><xmin>5</xmin><ymin>6</ymin><xmax>25</xmax>
<ymax>36</ymax></bndbox></object></annotation>"""
ATTRIBUTE_ROWS = (
    "img_name,label,cell_size,cell_shape,nucleus_shape,nuclear_cytoplasmic_ratio,"
    "chromatin_density,cytoplasm_vacuole,cytoplasm_texture,cytoplasm_colour,granule_type,"
    "granule_colour,granularity\n"
)
ROW = "{}.jpg,Basophil,big,round,irregular,low,densely,no,clear,blue,coarse,purple,yes\n"

PUBLIC = {
    "/bccd.zip": zipped(
        {
            "BCCD_Dataset-master/BCCD/JPEGImages/BloodImage_00000.jpg": picture(),
            "BCCD_Dataset-master/BCCD/Annotations/BloodImage_00000.xml": VOC,
            "BCCD_Dataset-master/BCCD/ImageSets/Main/train.txt": "",
            "BCCD_Dataset-master/BCCD/ImageSets/Main/val.txt": "",
            "BCCD_Dataset-master/BCCD/ImageSets/Main/test.txt": "BloodImage_00000\n",
            "BCCD_Dataset-master/example.jpg": picture(),
        }
    ),
    "/txl.zip": zipped(
        {
            "TXL-PBC_Dataset-main/TXL_PBC/images/test/a.jpg": picture(side=80),
            "TXL-PBC_Dataset-main/TXL_PBC/labels/test/a.txt": "0 0.5 0.5 0.25 0.5\n",
        }
    ),
    "/cells.zip": zipped(
        {
            "segmentation_WBC-master/Dataset 2/001.bmp": picture("BMP"),
            "segmentation_WBC-master/Dataset 2/001.png": picture("PNG"),
            "segmentation_WBC-master/Dataset 1/001.bmp": picture("BMP"),
            "segmentation_WBC-master/Class Labels of Dataset 2.csv": "image ID,class\n1,4\n",
        }
    ),
    "/pbc.zip": zipped(
        {
            "PBC_dataset_normal_DIB.zip": zipped(
                {
                    "PBC_dataset_normal_DIB/basophil/BA_1.jpg": picture(side=360),
                    "PBC_dataset_normal_DIB/basophil/BA_2.jpg": picture(side=360),
                    "PBC_dataset_normal_DIB/ig/MY_3.jpg": picture(side=360),
                }
            )
        }
    ),
    "/train.csv": (ATTRIBUTE_ROWS + ROW.format("BA_1")).encode(),
    "/val.csv": ATTRIBUTE_ROWS.encode(),
    "/test.csv": (ATTRIBUTE_ROWS + ROW.format("BA_2")).encode(),
    "/page.zip": b"<html>not found</html>",
}


@pytest.fixture
def site():
    served = dict(PUBLIC)
    cut = set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = served.get(self.path)
            self.send_response(200 if content else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            half = self.path in cut
            self.wfile.write((content or b"")[: len(content or b"") // 2 if half else None])

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.address = f"http://127.0.0.1:{server.server_port}"
    server.served, server.cut = served, cut
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def settings(tmp_path):
    return get_settings().model_copy(update={"data": tmp_path / "data"})


def test_fetched_sets_are_read_like_the_others(site, settings):
    told = []
    parts = {"images": f"{site.address}/bccd.zip"}
    get("bccd", settings, parts, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (len(PUBLIC["/bccd.zip"]),) * 2
    (field,) = open_set("bccd", settings).examples
    assert field.split == "test"
    assert (field.boxes[0].kind, field.boxes[0].width, field.boxes[0].height) == ("wbc", 20, 30)
    get("txl", settings, {"images": f"{site.address}/txl.zip"})
    (field,) = open_set("txl", settings).examples
    assert (field.boxes[0].x, field.boxes[0].width) == (30, 20)
    get("cellavision", settings, {"images": f"{site.address}/cells.zip"})
    data = open_set("cellavision", settings)
    assert [e.label for e in data.examples] == ["eosinophil"]
    assert data.read(data.examples[0]).shape == (60, 60, 3)


def test_pbc_follows_the_official_split_where_there_is_one(site, settings):
    parts = {"images": "pbc.zip", "train": "train.csv", "val": "val.csv", "test": "test.csv"}
    get("pbc", settings, {part: f"{site.address}/{file}" for part, file in parts.items()})
    data = open_set("pbc", settings)
    examples = {e.member: e for e in data.examples}
    assert examples["basophil/BA_1.webp"].split == "train"
    assert examples["basophil/BA_2.webp"].split == "test"
    assert examples["basophil/BA_2.webp"].attributes["granule_type"] == "coarse"
    assert examples["ig/MY_3.webp"].label == "immature_granulocyte"
    assert data.read(data.examples[0]).shape == (192, 192, 3)


def test_the_split_made_from_public_files_is_the_one_the_models_were_trained_on(pack):
    names = [n for n in pack.names("pbc.zip") if n.endswith(".webp")]
    rows = pd.read_csv(io.BytesIO(pack.read("pbc.zip", "wbcatt.csv")))
    official = dict(zip(rows["path"], rows["split"], strict=True))
    expected = pd.read_csv(pack.folder / "pbc_split.csv")
    assert pbc_split(names, official) == list(expected.itertuples(index=False, name=None))


def test_the_folds_made_from_the_images_are_the_ones_measured_on(pack):
    hashes = {
        n: picture_hash(pack.read("taleqani_all.zip", n)) for n in pack.names("taleqani_all.zip")
    }
    expected = pd.read_csv(pack.folder / "taleqani_folds.csv", dtype=str)
    made = pd.DataFrame(taleqani_folds(hashes), columns=expected.columns)
    pd.testing.assert_frame_equal(made.drop(columns="group"), expected.drop(columns="group"))
    pairs = set(zip(made["group"], expected["group"], strict=True))
    assert len(pairs) == made["group"].nunique() == expected["group"].nunique()


def test_near_duplicates_share_a_group_and_a_fold():
    apart = {f"Pro/WBC-Pro-{n:03}.webp": (n * 0x9E3779B97F4A7C15) % 2**64 for n in range(1, 200)}
    groups = {row[0]: row[2:] for row in taleqani_folds(apart)}
    assert groups["Pro/WBC-Pro-001.webp"] == groups["Pro/WBC-Pro-024.webp"]
    assert groups["Pro/WBC-Pro-001.webp"] != groups["Pro/WBC-Pro-180.webp"]
    apart["Pro/WBC-Pro-180.webp"] = apart["Pro/WBC-Pro-001.webp"] ^ 0b11
    groups = {row[0]: row[2:] for row in taleqani_folds(apart)}
    assert groups["Pro/WBC-Pro-001.webp"] == groups["Pro/WBC-Pro-180.webp"]


def test_a_second_call_downloads_nothing(site, settings):
    address = {"images": f"{site.address}/bccd.zip"}
    first = get("bccd", settings, address).read_bytes()
    site.served.clear()
    assert get("bccd", settings, address).read_bytes() == first


def test_a_changed_file_is_refused(site, settings):
    address = f"{site.address}/bccd.zip"
    get("bccd", settings, {"images": address}).unlink()
    noted = json.loads((settings.data / "checksums.json").read_text())
    assert set(noted) == {address}
    for kept in (settings.data / "downloads").iterdir():
        kept.unlink()
    site.served["/bccd.zip"] = PUBLIC["/txl.zip"]
    with pytest.raises(DataError, match="no longer the file"):
        get("bccd", settings, {"images": address})
    assert not (settings.data / "bccd.zip").exists()


def test_broken_downloads_leave_nothing_half_done(site, settings):
    site.cut.add("/bccd.zip")
    with pytest.raises(DataError):
        get("bccd", settings, {"images": f"{site.address}/bccd.zip"})
    with pytest.raises(DataError, match="damaged"):
        get("bccd", settings, {"images": f"{site.address}/page.zip"})
    with pytest.raises(DataError, match="cannot be reached"):
        get("bccd", settings, {"images": f"{site.address}/nowhere.zip"})
    with pytest.raises(DataError, match="no images"):
        get("bccd", settings, {"images": f"{site.address}/txl.zip"})
    assert [p.name for p in settings.data.iterdir() if p.suffix in {".zip", ".part"}] == []


def test_the_listing_names_every_set_and_what_is_here(pack):
    text = listing(get_settings())
    lines = text.splitlines()
    assert [line.split()[0] for line in lines] == list(PUBLIC_SETS)
    assert all("MB" in line for line in lines)


def test_data_list_on_the_command_line(pack, capsys):
    assert main(["data", "list"]) == 0
    assert "https://github.com/Shenggan/BCCD_Dataset" in capsys.readouterr().out
