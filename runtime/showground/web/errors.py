"""One JSON shape for whatever goes wrong on any route, aiohttp's own refusals included."""

from __future__ import annotations

import html
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Protocol

import msgspec
from aiohttp import web
from aiohttp.http import HttpProcessingError

from showground.errors import ShowgroundError

log = logging.getLogger("showground.web")

API_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-site",
}
"""On every answer of the host."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Head(Protocol):
    """What is needed of a request that failed."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...


_CODE_OF_STATUS = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    413: "too_large",
    415: "unsupported",
    422: "invalid",
    429: "rate_limited",
    503: "not_ready",
}
_encoder = msgspec.json.Encoder()


def error_response(error: ShowgroundError, status: int | None = None) -> web.Response:
    """The answer that carries *error*; `Retry-After` (RFC 9110 section 10.2.3, whole seconds) where waiting helps."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, -int(-error.retry_after // 1)))
    elif error.kind.temporary and error.kind.status in (429, 503):
        headers["Retry-After"] = "1"
    if error.code == "unauthorized":
        headers["WWW-Authenticate"] = 'Bearer realm="showground"'
    return web.Response(
        body=_encoder.encode(error.to_json()),
        status=status or error.kind.status,
        content_type="application/json",
        headers=headers,
    )


def error_page(error: ShowgroundError, status: int) -> web.Response:
    """The same for a person who came with a browser."""
    said = html.escape(error.message[:1].upper() + error.message[1:])
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{said}</title><link rel="stylesheet" href="/static/page.css"></head><body><main>'
        f"<h1>{said}</h1><p>{html.escape(error.remedy)}</p><p>{status} {error.code}</p>"
        '<p><a href="/">To the start</a></p></main></body></html>'
    )
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'self'; frame-ancestors *"}
    return web.Response(text=page, status=status, content_type="text/html", headers=headers)


def _answer(request: Head, error: ShowgroundError, status: int | None = None) -> web.Response:
    is_person = request.method == "GET" and "text/html" in request.headers.get("Accept", "")
    if is_person and not request.path.startswith("/api/"):
        return error_page(error, status or error.kind.status)
    return error_response(error, status)


def failure(request: Head, error: Exception, client_gone: bool = False) -> web.Response:
    """The answer to a request whose handler raised *error*. Redirections are raised again: aiohttp answers those."""
    match error:
        case ShowgroundError():
            if error.kind.fault == "system":
                log.warning("%s %s: %s", request.method, request.path, error)
            return _answer(request, error)
        case web.HTTPRedirection():
            raise error
        case web.HTTPException():
            return _from_aiohttp(request, error)
        case RecursionError():
            # msgspec's way to say that JSON is nested too deeply; nothing of ours recurses over what was sent
            return _answer(request, ShowgroundError("bad_request", "the body is nested too deeply", "body"))
        case UnicodeError():
            # aiohttp keeps bytes that are no UTF-8 as surrogates, which nothing can encode
            return _answer(request, ShowgroundError("bad_request", "the request is not UTF-8", request.method))
        case ConnectionError() if client_gone:
            # The client has gone; nobody is left to answer, and nothing is wrong here.
            return error_response(ShowgroundError("not_ready", "the client has gone", request.path))
        case TimeoutError():
            return error_response(
                ShowgroundError("not_ready", "the host did not answer in time", request.path, retry_after=1)
            )
        case _:
            log.error("%s %s failed", request.method, request.path, exc_info=error)
            fault = "an unexpected fault; the host's log has it"
            return error_response(ShowgroundError("internal", fault, request.path, "Please report it."))


class Refusing(web.RequestHandler):
    """aiohttp's protocol of one connection. What it cannot read as HTTP is refused in the one shape, and is no error of the
    host's."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        log.debug("a request from %s is not HTTP: %s", request.remote, exc.message)
        said = exc.message.partition("\n")[0].rstrip(":")
        response = error_response(ShowgroundError("bad_request", f"this is not HTTP: {said}", "request"))
        response.headers.update(API_HEADERS)
        response.force_close()
        return response


def has_gone(request: web.BaseRequest) -> bool:
    """Whether nobody waits for the answer any more."""
    return request.transport is None or request.transport.is_closing()


def _from_aiohttp(request: Head, refused: web.HTTPException) -> web.Response:
    code = _CODE_OF_STATUS.get(refused.status, "bad_request" if refused.status < 500 else "internal")
    remedy = ""
    if isinstance(refused, web.HTTPMethodNotAllowed):
        remedy = f"Allowed: {', '.join(sorted(refused.allowed_methods))}."
    reason = refused.text if refused.text and not refused.text.startswith(f"{refused.status}") else refused.reason
    message = reason or HTTPStatus(refused.status).phrase
    response = _answer(request, ShowgroundError(code, message, request.path, remedy), refused.status)
    if isinstance(refused, web.HTTPMethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(refused.allowed_methods))
    return response
