"""Desktop notifications; where a machine shows none, the log alone has the sentence."""

from __future__ import annotations

import asyncio
import logging
import sys

from engine.display import shown

__all__ = ["notify"]

_LOG = logging.getLogger("tweeze.notify")
_PATIENCE = 5.0  # seconds that a desktop may take


async def notify(message: str) -> None:
    """Show a sentence on the user's desktop, if there is one, and write it into the log."""
    _LOG.info("%s", message)
    # The library logs a traceback wherever there is no desktop, which is no fault.
    logging.getLogger("desktop_notifier").setLevel(logging.CRITICAL)
    try:
        from desktop_notifier import DesktopNotifier

        notifier = DesktopNotifier(app_name="Tweeze")
        await asyncio.wait_for(notifier.send(title="Tweeze", message=_plain(message)), _PATIENCE)
    except Exception as error:  # whatever a desktop's own library comes up with
        _LOG.debug("No notification: %s", error)


def _plain(message: str) -> str:
    """Return a sentence as a desktop can only take it for text.

    The freedesktop.org specification lets a server read markup in it (links, images that it
    fetches), and others show an escaped `&lt;` as it stands; so the three characters that make
    markup are replaced by their likes.
    """
    if sys.platform in ("darwin", "win32"):
        return shown(message)
    return shown(message).translate({ord("<"): "\u2039", ord(">"): "\u203a", ord("&"): "\uff06"})
