"""The one tree of errors. A message says what happened, to which file or job, and what to do.

* TweezeError
  * BadInput           the request or the file is wrong; the user can mend it (exit code 2)
    * BadAudio
    * BadQuery
    * BadJob           a job or status text that does not follow its form
    * UnknownModel
  * Failure            the request was right, the work did not succeed (exit code 1)
    * ModelBroken      weights that do not fit their architecture
    * EngineUnreachable
    * Foreign          the engine's folders are no longer its own
    * HostError        the editor cannot be reached, or refuses
  * Cancelled          the user asked to stop
"""

__all__ = [
    "BadAudio",
    "BadInput",
    "BadJob",
    "BadQuery",
    "Cancelled",
    "EngineUnreachable",
    "Failure",
    "Foreign",
    "HostError",
    "ModelBroken",
    "TweezeError",
    "UnknownModel",
]


class TweezeError(Exception):
    """Anything Tweeze tells a user; `str(error)` is one sentence fit to be shown."""


class BadInput(TweezeError):  # noqa: N818 - named for the user, not for the class tree
    """The request or a file in it is wrong, and the user can mend it."""


class BadAudio(BadInput):
    """A file that is not audio, or audio that cannot be separated."""


class BadQuery(BadInput):
    """A query that is empty, too long, or holds control characters."""


class BadJob(BadInput):
    """A job, status or request text that does not follow its form."""


class UnknownModel(BadInput):
    """A model name that the catalogue does not hold."""


class Failure(TweezeError):  # noqa: N818
    """The request was right, but the work did not succeed."""


class ModelBroken(Failure):
    """Weights that are missing, damaged, or do not fit their architecture."""


class EngineUnreachable(Failure):
    """The resident engine did not start or does not answer."""


class Foreign(Failure):
    """The engine's folders were replaced by others."""


class HostError(Failure):
    """The editor cannot be reached, or refuses what it was asked."""


class Cancelled(TweezeError):  # noqa: N818
    """The user asked to stop."""
