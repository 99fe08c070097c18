"""The loaded models of a process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from engine.folders import Folders
from engine.models import catalogue
from engine.models.base import Model
from engine.models.kinds import LISTENER

__all__ = ["Load", "ModelCache"]

Load = Callable[[str, Folders], Model]

_MODELS = 2  # loaded at once: one is the norm, a second serves who compares the two
_LISTENER = LISTENER.name  # small, and wanted beside any other: it does not count


class ModelCache:
    """Keeps the models used last, and loads one anew that was added anew under its name.

    The bundled listener and specialists stay beside them until they are dropped.
    """

    def __init__(self, folders: Folders, load: Load) -> None:
        self._folders = folders
        self._load = load
        self._models: OrderedDict[str, tuple[Model, object]] = OrderedDict()

    def fetch(
        self, name: str, on_loading: Callable[[], None] = lambda: None
    ) -> tuple[Model, float]:
        """Return a model, and the seconds that loading it took; 0 if it was loaded already.

        Calls `on_loading` before it loads one. Raises what `engine.models.load` raises.
        """
        stamp = catalogue.stamp(name, self._folders)
        if name in self._models:
            self._models.move_to_end(name)
            model, known = self._models[name]
            if known == stamp:
                return model, 0.0
            del model, self._models[name]  # another model has that name since
        on_loading()
        started = time.perf_counter()
        small = {_LISTENER, *catalogue.specialists(self._folders)}
        if name not in small:
            others = [other for other in self._models if other not in small]
            for other in others[: max(0, len(others) - _MODELS + 1)]:
                del self._models[other]
        model = self._load(name, self._folders)
        self._models[name] = (model, stamp)
        return model, time.perf_counter() - started

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the loaded models, the one used last at the end."""
        return tuple(self._models)

    def drop(self, name: str) -> None:
        """Let go of a model, if it is loaded."""
        self._models.pop(name, None)
