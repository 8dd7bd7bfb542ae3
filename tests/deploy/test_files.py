"""The files of the deployment fit each other and the code."""

import re
import subprocess
import sys
import tomllib

import yaml

from core.settings import PROJECT_ROOT

IMPORTED_AS = {"ai-edge-quantizer": "ai_edge_quantizer"}
TRAINING = {
    "tensorflow",
    "kagglehub",
    "ai_edge_quantizer",
    "matplotlib",
}
SCRIPT = """
import importlib, pkgutil, sys
for name in sys.argv[1].split():
    sys.modules[name] = None  # as if it were not installed
import core, asgi
for module in pkgutil.walk_packages(core.__path__, "core."):
    if not module.name.startswith(("core.training.", "core.cases.migrations.", "core.__main__")):
        importlib.import_module(module.name)
"""


def requirements(name):
    text = (PROJECT_ROOT / name).read_text()
    return [line.split("==")[0].lower() for line in text.splitlines() if re.match(r"\w", line)]


def test_the_app_needs_nothing_that_only_training_needs():
    training = [IMPORTED_AS.get(name, name) for name in requirements("requirements.txt")]
    assert set(training) == TRAINING
    subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-c", SCRIPT),
            " ".join([*training, "keras"]),
        ],
        cwd=PROJECT_ROOT,
        check=True,
        capture_output=True,
        text=True,
    )


def test_the_proxy_knows_all_replicas_and_they_know_it():
    compose = yaml.safe_load((PROJECT_ROOT / "compose.yaml").read_text())
    services = compose["services"]
    replicas = {name for name, service in services.items() if service["image"] == "leukoscope"}
    proxied = (PROJECT_ROOT / "deploy" / "nginx.conf").read_text()
    assert set(re.findall(r"server (\S+):8501", proxied)) == replicas
    assert len(replicas) == 2
    proxy = services["proxy"]["networks"]["inside"]["ipv4_address"]
    for name in replicas:
        assert services[name]["environment"]["FORWARDED_ALLOW_IPS"] == proxy
    listening = re.search(r"listen (\d+);", proxied)[1]
    assert services["proxy"]["ports"][0].endswith(f":{listening}")


def test_the_image_gets_all_that_the_app_reads():
    kept = {
        line[1:]
        for line in (PROJECT_ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert {"core", "pages", "models", "assets", "asgi.py", "streamlit_app.py"} <= kept
    for name in kept:
        assert (PROJECT_ROOT / name).exists(), name
    dockerfile = (PROJECT_ROOT / "Dockerfile").read_text()
    for copied in re.search(r"COPY (.+) /build/", dockerfile)[1].split():
        assert copied in kept


def test_the_deployment_is_closed_unless_somebody_says_otherwise():
    compose = yaml.safe_load((PROJECT_ROOT / "compose.yaml").read_text())
    for name in ("app-1", "app-2"):
        environment = compose["services"][name]["environment"]
        assert environment["LEUKOSCOPE_OPEN_ACCESS"] == "${LEUKOSCOPE_OPEN_ACCESS:-false}"
    assert compose["services"]["proxy"]["ports"][0].startswith("127.0.0.1:")
    assert "OPEN_ACCESS=" not in re.sub("#.*", "", (PROJECT_ROOT / "Dockerfile").read_text())
    config = tomllib.loads((PROJECT_ROOT / ".streamlit" / "config.toml").read_text())
    assert config["server"]["address"] == "127.0.0.1"
    assert config["client"]["allowedOrigins"] == []
    assert config["browser"]["gatherUsageStats"] is False
