"""FastAPI on uvicorn: the same answer."""

from typing import Any

from fastapi import FastAPI

app = FastAPI()


@app.post("/")
async def handle(event: dict[str, Any]) -> dict[str, object]:
    return {"ok": True, "id": event["post"]["id"], "title": event["post"]["title"], "score": event["score"]}
