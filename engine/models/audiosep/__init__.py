"""AudioSep: separate anything you describe (Liu et al. 2023), from its published checkpoints."""

from engine.models.audiosep.fast import FastForm
from engine.models.audiosep.separator import AudioSep

__all__ = ["AudioSep", "FastForm"]
