"""Keep modules small: past 400 lines a file holds a second idea. Exceptions are named here, with their reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import median

LIMIT = 400
EXCEPTIONS: dict[str, str] = {}
"""Path → why it may be longer."""


def main() -> int:
    listed = subprocess.run(["git", "ls-files", "*.py", "*.js"], check=True, capture_output=True, text=True)
    sizes = {
        name: len(Path(name).read_text("utf-8").splitlines()) for name in listed.stdout.split() if Path(name).exists()
    }
    modules = {name: lines for name, lines in sizes.items() if name.startswith(("runtime/", "plugins/"))}
    too_long = {n: s for n, s in modules.items() if s > LIMIT and n not in EXCEPTIONS}
    for name, lines in sorted(too_long.items()):
        print(f"{name}: {lines} lines; what is its second idea? ({LIMIT} is the limit)")
    stale = [name for name in EXCEPTIONS if modules.get(name, 0) <= LIMIT]
    for name in stale:
        print(f"{name}: named as an exception in {sys.argv[0]}, but it is short enough")
    filled = [lines for lines in modules.values() if lines > 3]
    print(f"{len(modules)} modules, median {median(filled):.0f} lines, longest {max(filled)}")
    return 1 if too_long or stale else 0


if __name__ == "__main__":
    sys.exit(main())
