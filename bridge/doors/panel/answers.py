"""What the page is answered where something cannot be done: a sentence and HTTP's number."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from bridge.doors.panel.overview import NotYet
from engine.errors import BadInput, TweezeError

__all__ = ["Endpoint", "Refused", "answered", "refusal", "small_json"]

_SMALL = 1 << 16  # bytes of a question
_LOG = logging.getLogger("tweeze.panel")

Endpoint = Callable[[Request], Awaitable[Response]]


class Refused(BadInput):
    """What the page asked for cannot be; `status` is HTTP's number for it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def refusal(status: int, sentence: str) -> JSONResponse:
    """Return the answer that says why not."""
    headers = {"Retry-After": "1"} if status == 503 else None
    return JSONResponse({"error": sentence}, status, headers)


def answered(endpoint: Endpoint) -> Endpoint:
    """Return an endpoint that answers with a sentence where another one raises."""

    @wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Refused as error:
            return refusal(error.status, str(error))
        except NotYet:
            return refusal(503, "That part is still being read: ask again in a moment.")
        except ClientDisconnect:
            return refusal(400, "The page went away in the middle of it.")
        except TweezeError as error:
            return refusal(400 if isinstance(error, BadInput) else 500, str(error))
        except Exception:
            _LOG.exception("The panel could not answer %s.", ascii(request.url.path[:200]))
            return refusal(500, "Unexpected error: see 'tweeze log'.")

    return answer


async def small_json(request: Request) -> dict[str, Any]:
    """Return the object that a request brings.

    Raises
    ------
    Refused
        It is too long, or no JSON object.

    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _SMALL:
            raise Refused(413, f"The question is longer than {_SMALL:,} bytes: shorten it.")
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "The question is not JSON.") from None
    if not isinstance(said, dict):
        raise Refused(400, "The question is not a JSON object.")
    return said
