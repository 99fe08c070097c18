"""Desktop notifications; where a machine shows none, the log alone has the sentence."""

from __future__ import annotations

import asyncio
import logging

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
        await asyncio.wait_for(notifier.send(title="Tweeze", message=message), _PATIENCE)
    except Exception as error:  # whatever a desktop's own library comes up with
        _LOG.debug("No notification: %s", error)
