"""Who may use the panel: codes that open it once, tokens that stay, and where requests come from.

The port of the panel can be reached by every user of this machine and by every page of the day's
browsing. So nothing but a token counts: 256 bits, sent in a header by the page's own code. There
are no cookies, which a browser would hand to any other server on this machine.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable

__all__ = ["Access"]

_CODE_SECONDS = 60.0
_CODES = 64  # that wait to be used
_TOKENS = 64  # of pages that were opened; the oldest goes first
_BYTES = 32


class Access:
    """Codes and tokens while the panel's port is open; none outlives it.

    `clock` tells the seconds by which codes grow old.
    """

    def __init__(self, port: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._places = frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost"))
        self._clock = clock
        self._codes: dict[str, float] = {}
        self._tokens: list[str] = []

    def new_code(self) -> str:
        """Return a code that is worth a token, once, for a minute."""
        self._forget_old()
        while len(self._codes) >= _CODES:
            del self._codes[next(iter(self._codes))]
        code = secrets.token_urlsafe(_BYTES)
        self._codes[code] = self._clock() + _CODE_SECONDS
        return code

    def redeem(self, code: str) -> str | None:
        """Return a token for a code, which is spent by that; None for one that is no good."""
        self._forget_old()
        known = [one for one in self._codes if _same(one, code)]
        if not known:
            return None
        del self._codes[known[0]]
        token = secrets.token_urlsafe(_BYTES)
        self._tokens = [*self._tokens, token][-_TOKENS:]
        return token

    def knows(self, token: str) -> bool:
        """Return whether a token is one of ours; that takes as long for a near miss as for any."""
        # A list, not a generator: each is compared, wherever the right one stands.
        return any([_same(one, token) for one in self._tokens])  # noqa: C419

    def is_ours(self, place: str) -> bool:
        """Return whether a Host header names this server, as `127.0.0.1:40123`."""
        return place.lower() in self._places

    def is_our_origin(self, origin: str) -> bool:
        """Return whether an Origin header is that of this server's own pages."""
        scheme, _, place = origin.partition("://")
        return scheme == "http" and self.is_ours(place)

    def _forget_old(self) -> None:
        now = self._clock()
        self._codes = {code: end for code, end in self._codes.items() if end > now}


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode("utf-8", "replace"))
