from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from showground.testing.workbench import Workbench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    async with Workbench(tmp_path) as bench:
        yield bench
