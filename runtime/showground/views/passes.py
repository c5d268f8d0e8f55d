"""The right to take a view up again: given to its browser with the view, good for as long as the view is kept.

Tickets of a site live for minutes; a view lives for a day. The pass binds the browser to the view and the view to its viewer,
so that a reconnect needs no new ticket, and a view id that leaks (a log, a screenshot) is worth nothing.
"""

from __future__ import annotations

import hashlib
import hmac


class Passes:
    def __init__(self, secret: bytes) -> None:
        self._secret = hashlib.sha256(b"showground view pass\0" + secret).digest()

    def sign(self, view: str, viewer_id: str | None) -> str:
        text = f"{view}\0{viewer_id or ''}".encode()
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()[:40]

    def verify(self, sent: str, view: str, viewer_id: str | None) -> bool:
        return hmac.compare_digest(sent.encode(), self.sign(view, viewer_id).encode())
