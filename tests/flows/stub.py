"""Stands in for the runner in the tests of the flow: the same command line and files, no work.

`orders.json` in the project's folder tells a stage what to do: {"teach@rings": {"seconds": 2, "exit": 1, "say": "text"}}; a stage with
{"until": FILE} ends once that file is there.
Every stage that runs adds its name to `ran.txt`, and to `spans.txt` with the times of its begin and end;
what it writes depends on its inputs alone, as with real verbs.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from stillhouse.record import process

MADE = {"prepare": "prepared", "teach": "teacher", "search": "found", "distill": "student"}


def main(verb: str, name: str = "") -> None:
    if verb == "check":
        sys.exit("params.yaml: seed - is wrong" if Path("wrong").exists() else 0)
    process.die_with(process.caller(os.getppid()))  # like the real one
    stage, started = f"{verb}@{name}" if name else verb, time.time()
    order = json.loads(Path("orders.json").read_text()).get(stage, {}) if Path("orders.json").exists() else {}
    with Path("ran.txt").open("a") as file:
        file.write(f"{stage}\n")
    if order.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    scratch = Path(".work") / stage / "fingerprint"
    scratch.mkdir(parents=True, exist_ok=True)
    with (scratch / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"time": time.time(), "epoch": 3, "epochs": 20, "loss": 0.25}) + "\n")
    (scratch / "process").write_text(str(os.getpid()))
    (scratch / "seen.json").write_text(json.dumps(dict(os.environ)))
    time.sleep(order.get("seconds", 0))
    while not Path(order.get("until", ".")).exists():
        time.sleep(0.02)
    with Path("spans.txt").open("a") as file:
        file.write(f"{stage} {started} {time.time()}\n")
    print(order.get("say", "no words"))
    if order.get("exit"):
        sys.exit(order["exit"])
    write(verb, name, order.get("result", ""))
    (scratch / "done.json").write_text("{}")


def write(verb: str, name: str, result: str) -> None:
    folders = {"evaluate": Path("data/reports", name), "compare": Path("data/comparison")}
    folder = folders.get(verb) or Path("data", name, MADE[verb])
    folder.mkdir(parents=True, exist_ok=True)
    text = result or hashlib.md5(Path("params.yaml").read_bytes()).hexdigest()
    (folder / "result.txt").write_text(f"{verb} {name} {text}")
    if verb == "compare":
        (folder / "table.md").write_text("| name | accuracy |\n| --- | --- |\n| half | 0.75 |\n")
    folder.with_name(f"{folder.name}.json").write_text(json.dumps({"accuracy": 0.75}))
    if verb in ("teach", "distill"):
        folder.with_name(f"{folder.name}.csv").write_text("epoch,loss\n1,0.5\n2,0.25\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
