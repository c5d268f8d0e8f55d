"""The process that workers are forked from, by itself."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys


def test_a_zygote_whose_host_was_killed_in_the_middle_of_something_ends_quietly() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        zygote = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-m",
                "showground.worker.zygote",
                str(theirs.fileno()),
                str(os.getpid()),
                "showground.worker.plain:load_bundle",
            ],
            pass_fds=(theirs.fileno(),),
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    assert select.select([ours], [], [], 20)[0], "it said nothing"
    ours.close()  # with its hello unread, which it hears of as a reset and not as an end
    _, said = zygote.communicate(timeout=20)
    assert (zygote.returncode, said) == (0, b"")
