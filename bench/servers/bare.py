"""The yardstick: the same answer from aiohttp on uvloop with msgspec, in process, with no auth, validation or isolation."""

import sys
from typing import Any

import msgspec
import uvloop
from aiohttp import web

decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode


def answer(event: Any) -> dict[str, object]:
    return {"ok": True, "id": event["post"]["id"], "title": event["post"]["title"], "score": event["score"]}


async def handle(request: web.Request) -> web.Response:
    return web.Response(body=encode(answer(decode(await request.read()))), content_type="application/json")


app = web.Application()
app.router.add_post("/", handle)
uvloop.install()
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
