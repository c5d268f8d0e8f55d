"""functions-framework: the same answer, as its documentation shows; `aio` for --asgi."""

import functions_framework
import functions_framework.aio


def answer(event):
    return {"ok": True, "id": event["post"]["id"], "title": event["post"]["title"], "score": event["score"]}


@functions_framework.http
def handle(request):
    return answer(request.get_json())


@functions_framework.aio.http
async def handle_async(request):
    return answer(await request.json())
