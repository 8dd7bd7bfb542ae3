"""What is installed and served is locked by hash, listed, and comes with its licences."""

import json
import re
import subprocess
import sys

import pytest

from core.settings import PROJECT_ROOT

LOCKS = {
    "serve": "requirements-serve.txt",
    "run": "requirements.txt",
    "dev": "requirements-dev.txt",
}
HASH = re.compile(r"^ +--hash=sha256:[0-9a-f]{64}( \\)?$")


def pins(text):
    """Return versions by normalised names of the lines that pin one."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def required(name):
    """Return the pins of a requirements file and of those that it names."""
    text = (PROJECT_ROOT / name).read_text()
    found = pins(text)
    for other in re.findall(r"^-r (\S+)$", text, re.MULTILINE):
        found |= required(other)
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_what_is_required_and_nothing_unhashed(name):
    text = (PROJECT_ROOT / "locks" / f"{name}.txt").read_text()
    locked = pins(text)
    wanted = required(LOCKS[name])
    assert {key: locked.get(key) for key in wanted} == wanted, "run `make lock`"
    blocks = re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(locked)
    for block in blocks:
        first, *hashes = block.splitlines()
        assert hashes, first
        assert all(HASH.match(line) for line in hashes), first


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_index_and_no_place(name):
    text = (PROJECT_ROOT / "locks" / f"{name}.txt").read_text()
    assert not re.search(r"://|--index|--find-links|--extra|--trusted|^-", text, re.MULTILINE)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_and_the_constraints_agree(name):
    """On every package that both know: the tree is locked once."""
    locked = pins((PROJECT_ROOT / "locks" / f"{name}.txt").read_text())
    known = pins((PROJECT_ROOT / "constraints.txt").read_text())
    assert {k: v for k, v in locked.items() if k in known} == {
        k: known[k] for k in locked if k in known
    }


def test_everything_is_installed_by_hash():
    for file in ("Makefile", "Dockerfile"):
        text = (PROJECT_ROOT / file).read_text()
        for line in re.findall(r"^.*pip install.*-r .*$", text, re.MULTILINE):
            assert "--require-hashes" in line, line
        assert "--require-hashes" in text


def test_pip_refuses_a_file_with_another_hash(tmp_path):
    """The attack: an index serves another file under the name and version that are locked."""
    text = (PROJECT_ROOT / "locks" / "serve.txt").read_text()
    block = next(b for b in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if b.startswith("idna="))
    poisoned = re.sub("sha256:[0-9a-f]{64}", f"sha256:{64 * '0'}", block.split("\\\n")[0] + "\\\n")
    wrong = tmp_path / "wrong.txt"
    wrong.write_text(f"{poisoned}    --hash=sha256:{64 * '0'}\n")
    command = ["-m", "pip", "install", "--dry-run", "--ignore-installed", "--require-hashes"]
    done = subprocess.run(
        [sys.executable, *command, "--no-deps", "--no-input", "-r", str(wrong)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    if "No matching distribution" in done.stderr:
        pytest.skip("no package index can be reached")
    assert "DO NOT MATCH THE HASHES" in done.stderr


def test_notices_hold_the_texts_of_the_lgpl_and_name_every_licence():
    done = subprocess.run(
        [sys.executable, str(PROJECT_ROOT / "deploy" / "notices.py")],
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )
    blocks = dict(re.findall(r"(?ms)^={80}\n(\S+) \S+\n(.*?)(?=^={80}\n|\Z)", done.stdout))
    by_name = {re.sub(r"[-_.]+", "-", name).lower(): text for name, text in blocks.items()}
    for name in ("psycopg", "psycopg-binary", "openslide-bin", "openslide-python", "fpdf2"):
        assert "GNU LESSER GENERAL PUBLIC LICENSE" in by_name[name], name
        assert "Source: https://" in by_name[name]
    assert "Bitstream Vera" in by_name["dejavu"]
    for name in pins((PROJECT_ROOT / "locks" / "serve.txt").read_text()):
        if name in by_name:  # others are for other systems
            licence = re.search(r"^Licence: (.+)$", by_name[name], re.MULTILINE)[1]
            assert licence != "see its text" or len(by_name[name]) > 500, name


def test_the_bill_of_materials_lists_what_is_served(tmp_path):
    file = tmp_path / "sbom.json"
    lock = PROJECT_ROOT / "locks" / "serve.txt"
    subprocess.run(
        [
            *(sys.executable, "-m", "cyclonedx_py", "requirements", str(lock)),
            *("--pyproject", str(PROJECT_ROOT / "pyproject.toml")),
            *("--output-reproducible", "--of", "JSON", "-o", str(file)),
        ],
        check=True,
        capture_output=True,
    )
    bill = json.loads(file.read_text())
    listed = {c["name"].lower().replace("_", "-"): c for c in bill["components"]}
    locked = pins(lock.read_text())
    assert {re.sub(r"[-_.]+", "-", name): c["version"] for name, c in listed.items()} == locked
    assert bill["bomFormat"] == "CycloneDX"


def test_every_training_set_of_a_card_has_its_licence_beside_it():
    """Licences are spelled out: nobody has to look them up elsewhere."""
    sets = ("PBC", "WBCAtt", "Kaggle", "TXL", "BCCD", "Taleqani", "DeepAPL", "LISC", "pig")
    for card in sorted((PROJECT_ROOT / "models").glob("*/card.json")):
        described = json.loads(card.read_text())
        for line in described["training_data"]:
            if any(name in line for name in sets):
                assert re.search(r"\([^)]*(MIT|CC|licence|research)[^)]*\)", line), (card, line)
        assert not re.search(r"(?i)\bsee (the|its|kaggle)", described["licence"])
