"""celery, one prefork process. `python celery_app.py N OUT LOG` fills the queue, starts the worker, and tells how long N took."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from celery import Celery

parts = urlsplit(os.environ["BENCH_REDIS"])
address = f"redis+socket://:{parts.password}@{parts.path}"
app = Celery("celery_app", broker=address)
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=64, broker_connection_retry_on_startup=True)
seen = {"n": 0, "first": 0.0}


@app.task
def tick(out: str, n: int) -> None:
    now = time.time()
    if not seen["n"]:
        seen["first"] = now
    seen["n"] += 1
    if seen["n"] == n:
        part = Path(f"{out}.part")
        part.write_text(json.dumps({"jobs": n, "seconds": now - seen["first"]}))
        part.rename(out)
        seen["n"] = 0


def drain(n: int, out: Path, log: Path) -> None:
    for _ in range(n):
        tick.delay(str(out), n)
    command = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "-P", "prefork", "-c", "1", "-l", "error"]
    with log.open("wb") as file:
        worker = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + 90
        while not out.exists():
            if worker.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(log.read_text()[-2000:])
            time.sleep(0.02)
        print(out.read_text())
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    from celery_app import drain as run

    run(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
