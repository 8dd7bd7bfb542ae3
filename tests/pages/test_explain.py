import io

import numpy as np
from PIL import Image

from core.settings import get_settings
from core.teaching.cell_map import get_map
from tests.images import encoded
from tests.pages.app import button, checked, open_app, texts, upload

PAGE = "explain"


def tables(app):
    return "\n".join(table.value.to_string() for table in app.table)


def test_a_real_cell_is_explained(pack):
    app = open_app(PAGE)
    app.selectbox(key="explain_real_type").select("eosinophil")
    checked(app.run())
    assert "Eosinophil" in app.success[0].value
    assert "never saw this cell" in app.info[0].value
    heads = [s.value for s in app.header]
    assert heads == [
        "What the model reads in it",
        "What would make it another type?",
        "The most similar training cells",
    ]
    assert "8 eosinophils" in texts(app)
    assert "Granule colour" in tables(app)
    app.selectbox(key="explain_other_eosinophil").select("basophil")
    checked(app.run())
    assert "A typical basophil would show" in texts(app)
    assert "**Eosinophil**" in tables(app)
    before = texts(app)
    button(app, "Another one").click()
    checked(app.run())
    assert texts(app) != before


def test_what_is_unlike_the_training_images_is_never_certain(tmp_path, monkeypatch):
    monkeypatch.setenv("LEUKOSCOPE_DATA", str(tmp_path))
    get_settings.cache_clear()
    app = open_app(PAGE)
    app.selectbox(key="explain_drawn_type").select("metamyelocyte")
    checked(app.run())
    assert "unlike the training images" in app.warning[0].value
    assert app.warning[1].proto.title == "Uncertain"
    assert not app.success
    assert "The model is wrong here" in app.error[0].value


def test_a_cell_of_the_map_says_that_it_was_trained_on(pack):
    cell = next(c for c in get_map().cells if c.type == "lymphocyte")
    app = open_app(PAGE, image=cell.name)
    assert "was trained on this cell" in app.info[0].value
    button(app, "Choose another cell").click()
    checked(app.run())
    assert "never saw this cell" in app.info[0].value


def test_an_own_image_is_explained_or_rejected_with_the_reason(pack):
    app = open_app(PAGE)
    app.segmented_control(key="explain_source").set_value("upload")
    checked(app.run())
    assert "one white cell" in app.info[0].value
    name = next(n for n in pack.names("pbc.zip") if n.startswith("monocyte/"))
    upload(app, ("cell.jpg", pack.jpeg(pack.read("pbc.zip", name))))
    assert "What the model reads in it" in [s.value for s in app.header]
    blast = pack.png(pack.read("deepapl.zip", "blast/Patient_00_9dd1d7d08e.webp"))
    app.file_uploader[0].set_value(("blast.png", blast, "image/png"))
    checked(app.run())
    assert app.error[0].proto.title == "Possible blast"
    assert not app.success
    app.file_uploader[0].set_value(
        ("white.png", encoded(np.full((200, 200, 3), 255, np.uint8)), "image/png")
    )
    checked(app.run())
    assert app.error[0].proto.title == "Not analysed"
    app.file_uploader[0].set_value(("text.png", b"no image", "image/png"))
    checked(app.run())
    assert "not an image" in app.error[0].value
    grey = np.asarray(Image.open(io.BytesIO(blast)).convert("L"))
    app.file_uploader[0].set_value(("grey.png", encoded(grey), "image/png"))
    checked(app.run())
    assert "no stain colours" in app.error[0].value
