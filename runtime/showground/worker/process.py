"""From a fresh fork to a worker that serves: descriptors, walls, loop."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import sys
from typing import NoReturn

from showground.errors import ShowgroundError
from showground.worker import confinement, spawning
from showground.worker.loader import Load
from showground.worker.serving import Server

SOCKET = 3
"""The descriptor of the worker's socket; 0 is empty, 1 and 2 are the pipe for raw output. There are no others."""


def become_worker(order: spawning.Spawn, sock: int, output: int, load: Load) -> NoReturn:
    """Turn this freshly forked process into a worker, and end it when it has served. Never returns, whatever happens."""
    zygote = os.getppid()
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        inherit(sock, output)
        os.environ.clear()
        os.environ.update(LANG="C.UTF-8", PATH="/usr/local/bin:/usr/bin:/bin", HOME=order.folder)
        os.chdir(order.folder)
        sys.dont_write_bytecode = True  # a bundle is never changed
        confinement.confine(order.level, order.limits, order.folder, zygote)
        code = serve(order, load)
    except ShowgroundError as error:
        os.write(2, f"{error}\n".encode())
        code = spawning.EXIT_CONFINEMENT
    except MemoryError:
        code = spawning.EXIT_MEMORY
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.__excepthook__(*sys.exc_info())
    finally:
        os._exit(code & 0xFF)


def inherit(sock: int, output: int) -> None:
    """Keep exactly four descriptors: 0 to 2 and `SOCKET`."""
    # moved up first, so that no dup2 below overwrites one that is still needed
    spare_sock = fcntl.fcntl(sock, fcntl.F_DUPFD, SOCKET + 1)
    spare_output = fcntl.fcntl(output, fcntl.F_DUPFD, SOCKET + 1)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0, inheritable=True)
    os.dup2(spare_output, 1, inheritable=True)
    os.dup2(spare_output, 2, inheritable=True)
    os.dup2(spare_sock, SOCKET, inheritable=False)
    os.closerange(SOCKET + 1, os.sysconf("SC_OPEN_MAX"))


def serve(order: spawning.Spawn, load: Load) -> int:
    try:
        import uvloop

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    except ImportError:
        loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop.run_until_complete(Server(socket.socket(fileno=SOCKET), order, load).serve())
