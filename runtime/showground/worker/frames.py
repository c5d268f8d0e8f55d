"""Frames between host and worker: a 4-byte big-endian length, then one msgpack array. `docs/worker-protocol.md` is the contract.

Both sides use the same `Channel`; nothing in this module knows which side it is on.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from showground.errors import ShowgroundError

log = logging.getLogger("showground.frames")

PROTOCOL: Final = 2
"""Sent in READY. A worker that speaks another version is ended. 2: `redis.command`, which hosts before it do not know."""

CALL: Final = 0
REPLY: Final = 1
ERROR: Final = 2
LOG: Final = 3
CANCEL: Final = 4
READY: Final = 5
DRAIN: Final = 6

Frame = list[Any]

READ_BYTES: Final = 16 * 1024
"""Read at once from one socket. It bounds how long one worker's many small frames keep the loop from the others."""
JOINED: Final = 16
"""So many frames of one turn are sent without waiting for its end. Else the other side would idle until all is said, and this
one until all is answered: with 64 calls at once that cost a fifth of the throughput (2026-11-24)."""
UNSENT_FRAMES: Final = 4
"""How many largest frames may wait for a peer that does not read, before it is given up."""

_length = struct.Struct(">I")


def _refuse_extension(code: int, _data: memoryview) -> object:
    raise ValueError(f"extension type {code} is not part of the protocol")


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(ext_hook=_refuse_extension).decode


def encode(frame: Sequence[object], limit: int) -> bytes:
    """*frame* as it travels. Raises `too_large` over *limit* bytes, `TypeError` for a value that msgpack cannot carry."""
    body = _encode(frame)
    if len(body) > limit:
        raise ShowgroundError("too_large", f"the frame has {len(body)} bytes; the limit is {limit}")
    return _length.pack(len(body)) + body


class Channel:
    """One end of the socket. Frames go out in the order of `send`; each that comes in is passed to *on_frame*, on the loop.

    *on_close* is called once, with None when the peer closed, else with what the peer did wrong. The channel is closed then.
    What cannot be written at once is kept, at most `UNSENT_FRAMES` times *limit* bytes; past that the peer is at fault.
    """

    def __init__(
        self,
        sock: socket.socket,
        limit: int,
        on_frame: Callable[[Frame], None],
        on_close: Callable[[str | None], None],
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self.limit = limit
        self._on_frame = on_frame
        self._on_close = on_close
        self._unsent: list[bytes] = []
        self.unsent_bytes = 0
        self._flush_due = False
        self._blocked = False
        self.closed = False
        self._room = bytearray(READ_BYTES)
        self._view = memoryview(self._room)
        self._filled = 0
        self._loop.add_reader(sock, self._readable)

    # --- out ---

    def send(self, data: bytes, at_once: bool) -> None:
        """Send the encoded frame *data*: with *at_once* now, else joined with the others of this turn of the loop.

        Joining saves the host half of its system calls under load; sending at once saves a lone call a turn of latency.
        May be called from any thread.
        """
        if threading.get_ident() != self._thread:
            self._loop.call_soon_threadsafe(self.send, data, at_once)
            return
        if self.closed:
            return
        if at_once and not self._unsent:
            try:
                sent = self._sock.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self._fail(None)
                return
            if sent == len(data):
                return
            data = data[sent:]
            self._block()
        self._unsent.append(data)
        self.unsent_bytes += len(data)
        if len(self._unsent) >= JOINED and not self._blocked:
            self.flush()
            return
        if self.unsent_bytes > UNSENT_FRAMES * (self.limit + 4):
            self._fail("it does not read its socket")
        elif not self._flush_due and not self._blocked:
            self._flush_due = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what waits, as far as the socket takes it."""
        self._flush_due = False
        if self.closed or not self._unsent:
            return
        data = b"".join(self._unsent) if len(self._unsent) > 1 else self._unsent[0]
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._fail(None)
            return
        if sent == len(data):
            self._unsent.clear()
            self.unsent_bytes = 0
            if self._blocked:
                self._blocked = False
                self._loop.remove_writer(self._sock)
            return
        # memoryview: a large frame leaves in many pieces, and copying its tail each time would be quadratic
        self._unsent = [bytes(memoryview(data)[sent:])] if sent else [data]
        self.unsent_bytes = len(data) - sent
        self._block()

    def _block(self) -> None:
        if not self._blocked:
            self._blocked = True
            self._loop.add_writer(self._sock, self.flush)

    # --- in ---

    def _readable(self) -> None:
        try:
            count = self._sock.recv_into(self._view[self._filled :])
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            count = 0
        if count == 0:
            self._fail(None)
            return
        end = self._filled + count
        start = 0
        wanted = 4
        view, limit, on_frame = self._view, self.limit, self._on_frame
        while end - start >= 4:
            size = _length.unpack_from(view, start)[0]
            if size > limit:
                self._fail(f"a frame of {size} bytes; the limit is {limit}")
                return
            wanted = 4 + size
            stop = start + wanted
            if stop > end:
                break
            try:
                frame = _decode(view[start + 4 : stop])
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                self._fail(f"a frame that is not msgpack: {error}")
                return
            start = stop
            wanted = 4
            if type(frame) is not list or not frame:
                self._fail("a frame that is not an array")
                return
            try:
                on_frame(frame)
            except ShowgroundError as error:
                self._fail(error.message)
                return
            except (ValueError, TypeError, RecursionError) as error:
                self._fail(f"a frame of the wrong shape ({error})")
                return
            except Exception:  # our fault, perhaps; but a peer that found it must not be able to go on with it
                log.exception("a frame could not be taken")
                self._fail("a frame that could not be taken")
                return
            if self.closed:
                return
        self._keep(start, end, wanted)

    def _keep(self, start: int, end: int, wanted: int) -> None:
        """Move an unfinished frame to the front, into a buffer that grows as its bytes come (a claim alone costs nothing)."""
        left = end - start
        room = len(self._room)
        if left and wanted > room and left * 2 > room:
            room = min(wanted, room * 4)
        elif wanted <= READ_BYTES:
            room = READ_BYTES
        if room != len(self._room):
            fresh = bytearray(room)
            fresh[:left] = self._view[start:end]
            self._room, self._view = fresh, memoryview(fresh)
        elif left and start:
            self._room[:left] = bytes(self._view[start:end])
        self._filled = left

    # --- end ---

    def _fail(self, reason: str | None) -> None:
        if not self.closed:
            self.close()
            self._on_close(reason)

    def close(self) -> None:
        """Close the socket; *on_close* is not called. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._sock)
        if self._blocked:
            self._loop.remove_writer(self._sock)
        self._unsent.clear()
        self._sock.close()
