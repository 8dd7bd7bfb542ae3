"""Sends fields to a Leukoscope server and prints the counts of each field.

    python examples/api_client.py http://localhost:8501 field1.jpg field2.jpg

A server with sign-in needs a token: LEUKOSCOPE_TOKEN=... before the command.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests


def analyze(server: str, paths: list[Path], token: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield the lines of a streamed answer; wait and retry while the server is busy.

    Raises RuntimeError with the server's message when it refuses the request.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    files = [("files", (path.name, path.read_bytes())) for path in paths]
    address = f"{server}/api/analyze?stream=true"
    with requests.Session() as session:
        while True:
            answer = session.post(address, files=files, headers=headers, stream=True, timeout=600)
            if "Retry-After" not in answer.headers:
                break
            time.sleep(int(answer.headers["Retry-After"]))
        if not answer.ok:
            problem = answer.json()
            raise RuntimeError(f"{problem['detail']} (request {problem['request_id']})")
        yield from map(json.loads, answer.iter_lines())


def main() -> None:
    """Print a line for each field."""
    server, *names = sys.argv[1:]
    for line in analyze(server, list(map(Path, names)), os.environ.get("LEUKOSCOPE_TOKEN")):
        progress = f"{line['done']}/{line['total']}"
        if image := line.get("image"):
            counts = {key: share["count"] for key, share in image["differential"].items()}
            print(progress, image["file"], image["refused"] or counts)
        elif error := line.get("error"):
            print(progress, error["file"], error["error"])
        else:
            print("Models:", line["models"], "Answered:", line["totals"])


if __name__ == "__main__":
    main()
