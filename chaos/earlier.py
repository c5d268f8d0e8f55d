"""An earlier commit of the project in an environment of its own, so that its hosts start its workers, too."""

from __future__ import annotations

import io
import subprocess
import sysconfig
import tarfile
import venv
from pathlib import Path


def check_out(ref: str, folder: Path) -> Path:
    """The code of commit *ref* in *folder*, without touching the work tree.

    Returns the interpreter that runs it. Everything but the project is taken from the running environment: a commit that
    needs other packages than this one fails at its first import.
    """
    root = Path(__file__).parents[1]
    packed = subprocess.run(
        ["git", "-C", str(root), "archive", "--format=tar", ref, "runtime", "plugins"], check=True, capture_output=True
    )
    code = folder / "code"
    code.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(code, filter="data")
    return _environment(folder / "venv", [code / "runtime", *sorted(code.glob("plugins/*"))])


def _environment(folder: Path, first: list[Path]) -> Path:
    """An environment in which what is in *first* goes before what is installed here.

    Not by PYTHONPATH: the zygote of a host does not look at it, so old hosts would get the workers of this commit.
    """
    venv.create(folder, symlinks=True)
    library = sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
    here = sysconfig.get_path("purelib")
    lines = [*map(str, first), f"import site; site.addsitedir({here!r})"]
    (Path(library) / "earlier.pth").write_text("\n".join(lines) + "\n")
    return folder / "bin" / "python"
