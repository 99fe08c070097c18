"""Makes training and evaluation examples: mixtures, captions, and what each caption asks for.

The target of a caption is the sum of all sources that it fits. Everything random comes from one
``numpy.random.Generator``, so an example depends on nothing but the clips and the seed.
"""

from __future__ import annotations

import io
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import soxr
from scipy.signal import fftconvolve

from engine.training.corpus import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from engine.taxonomy.classes import Taxonomy
    from engine.training.corpus import Clip

LEVEL = 0.05
"""RMS of a source before its gain."""

LOWEST_RATE = 0.99
"""Compression from 0 to 1; libsndfile's MP3 refuses all above 0.99995."""

SPEED_SHARE, TONE_SHARE, ROOM_SHARE, CODEC_SHARE = 0.5, 0.6, 0.25, 0.12
"""Shares of the changed clips that are changed in this or that."""
SPEEDS = (0.84, 1.19)
KNOTS = np.linspace(np.log(60), np.log(16000), 7)
"""Logarithms of the frequencies between which an equaliser's gains are interpolated."""
TONE_DB = 8.0
ROOM_SECONDS = (0.05, 0.45)
ROOM_LEVELS = (0.1, 0.6)
"""Of what comes back from a room's walls, the direct sound being 1."""
ROOM_DECAY = 6.9
"""Exponents of e by which a room's answer has fallen at its end."""
NOISE_DB = (10.0, 35.0)
"""By how much a bed of noise is quieter than the mixture."""
NOISE_SLOPES = (0.0, 1.2)

ABSENT_TRIES = 1000
"""Captions that are drawn at most in search of one that is true of nothing in a mixture."""

TEMPLATES = (
    "{}",
    "{}",
    "{}",
    "the sound of {}",
    "a recording of {}",
    "{} in the background",
    "sound of {}",
    "only the {}",
    "the {}",
)


@dataclass(frozen=True)
class MixingOptions:
    """How examples are made; see `COMPACT` for those that ``compact`` learns from."""

    samples: int = 3 * SAMPLE_RATE
    counts: tuple[float, ...] = (0.05, 0.66, 0.21, 0.08)
    """Shares of mixtures of one, two, three … sources."""
    speech: float = 20.0
    """How much more often speech is drawn than the number of its clips says: one sound in nine."""
    snr: tuple[float, float, float] = (-10.0, 1.0, 15.0)
    """Each interferer's level below the first source, in dB: lowest, likeliest, highest."""
    absent: float = 0.1
    """Share of queries that describe nothing in the mixture, half of them a neighbour of it."""
    unknown: float = 0.03
    """Share of queries that mean nothing; their target is the whole mixture."""
    against: float = 0.0
    """Share of queries that also name a sound that the target must not hold."""
    vainly_against: float = 0.1
    """Share of these that name one that is not there."""
    near: float = 0.06
    """Share of mixtures whose second source comes from a neighbouring class."""
    augment: float = 0.6
    """Share of clips that are changed (speed, equaliser, reverb, codec)."""
    by_recording: bool = False
    """Whether each recording of a class is as likely as another, however many clips it has."""
    noise: float = 0.1
    """Share of mixtures with a bed of coloured noise that no caption describes."""

    @property
    def vain(self) -> float:
        """Share of what is not there among the queries that mean something."""
        return self.absent / (1 - self.unknown)


COMPACT = MixingOptions(against=0.5, by_recording=True)
"""What ``compact`` learns from."""


@dataclass(frozen=True)
class Example:
    """One mixture with its queries."""

    mixture: NDArray[np.float32]
    """``(samples,)``"""
    targets: NDArray[np.float32]
    """``(queries, samples)``"""
    captions: tuple[str, ...]
    """A request; an empty caption stands for a query that means nothing."""
    names: tuple[str, ...]
    """The classes of the sources."""
    against: tuple[str, ...] = ()
    """What each target must not hold; empty where nothing is named."""


@dataclass(frozen=True)
class MixtureQuestion:
    """What is asked of a mixture, and which of its sources answer it."""

    caption: str
    """Empty for a query that means nothing; its target is the mixture."""
    against: str
    """What the target must not hold; empty where nothing is named."""
    fitting: tuple[int, ...]
    """Numbers of the sources of which the target is the sum."""


class ClipStore:
    """Clips of one split, grouped by class, read from the corpus's sample file."""

    def __init__(self, samples: NDArray[np.int16], clips: Sequence[Clip]) -> None:
        self._samples = samples
        self.by_class: dict[str, list[Clip]] = defaultdict(list)
        for clip in clips:
            self.by_class[clip.name].append(clip)
        self.names = tuple(sorted(self.by_class))
        self.recordings = {name: _recordings(clips) for name, clips in self.by_class.items()}
        """The clips of each class, a list a recording."""

    def read(self, clip: Clip) -> NDArray[np.float32]:
        """Return the clip's samples, ``(clip.length,)``, in -1 ... 1."""
        part = self._samples[clip.start : clip.start + clip.length]
        return np.asarray(part / np.float32(32768), np.float32)


def _recordings(clips: Sequence[Clip]) -> list[list[Clip]]:
    found: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        found[clip.group].append(clip)
    return list(found.values())


def class_weights(
    names: Sequence[str], counts: Mapping[str, int], speech: float = 3.0
) -> NDArray[np.float64]:
    """Return how often to draw each class: by the root of its clips, common ones more often.

    The default is what models are measured with.
    """
    favoured = {"speech": speech, "music": 2.0}
    weights = np.array([min(counts[n], 40) ** 0.5 * favoured.get(n, 1.0) for n in names])
    return np.asarray(weights / weights.sum(), dtype=np.float64)


class Mixer:
    """Draws examples from a store."""

    def __init__(
        self, store: ClipStore, taxonomy: Taxonomy, options: MixingOptions | None = None
    ) -> None:
        self._store = store
        self._taxonomy = taxonomy
        self.options = options or MixingOptions()
        counts = {name: len(clips) for name, clips in store.by_class.items()}
        self._weights = class_weights(store.names, counts, self.options.speech)
        self._near = _neighbours(store.names, taxonomy)
        self.captions = tuple(
            sorted({caption for name in store.names for caption in taxonomy.fitting[name]})
        )
        """All that is asked for, in vain or not; a network never hears of other captions."""

    def example(self, rng: np.random.Generator, queries: int = 2) -> Example:
        """Draw a mixture of some sources and ask for ``queries`` things in it."""
        options = self.options
        names = self.draw_classes(rng)
        sources = []
        for index, name in enumerate(names):
            level = 0.0 if index == 0 else -rng.triangular(*options.snr)
            source = self.source(name, rng)
            sources.append(source * np.float32(LEVEL * 10 ** (level / 20) / _rms(source)))
        mixture = np.sum(sources, axis=0)
        if rng.random() < options.noise:
            mixture = mixture + _noise(mixture.size, rng) * np.float32(
                _rms(mixture) * 10 ** (-rng.uniform(*NOISE_DB) / 20)
            )
        questions = [self.question(names, index % len(names), rng) for index in range(queries)]
        targets = []
        for question in questions:
            fitting = [sources[index] for index in question.fitting]
            target = np.sum(fitting, axis=0) if fitting else np.zeros_like(mixture)
            targets.append(target if question.caption else mixture)
        return Example(
            mixture.astype(np.float32),
            np.stack(targets).astype(np.float32),
            tuple(question.caption for question in questions),
            tuple(names),
            tuple(question.against for question in questions),
        )

    def question(
        self, names: Sequence[str], wanted: int, rng: np.random.Generator
    ) -> MixtureQuestion:
        """Draw something to ask of a mixture of these classes, mostly the ``wanted``-th."""
        options = self.options
        kind = rng.random()
        if kind < options.unknown:
            return MixtureQuestion("", "", ())
        caption = self._caption(names, wanted, kind < options.unknown + options.absent, rng)
        against = self._against(names, wanted, rng) if rng.random() < options.against else ""
        fitting = tuple(
            index
            for index, name in enumerate(names)
            if self._taxonomy.fits(caption, name)
            and not (against and self._taxonomy.fits(against, name))
        )
        return MixtureQuestion(caption, against, fitting)

    def draw_clip(self, name: str, rng: np.random.Generator) -> Clip:
        """Draw a clip of a class."""
        clips = self._store.by_class[name]
        if self.options.by_recording:
            recordings = self._store.recordings[name]
            clips = recordings[rng.integers(len(recordings))]
        return clips[rng.integers(len(clips))]

    def source(self, name: str, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return ``(samples,)`` of a random clip of a class, changed at random."""
        audio = np.zeros(1, np.float32)
        for _ in range(6):
            audio = self._store.read(self.draw_clip(name, rng))
            if rng.random() < self.options.augment:
                audio = augment(audio, rng)
            audio = place(audio, self.options.samples, rng)
            if _rms(audio) > 1e-3:
                break
        return audio

    def draw_classes(self, rng: np.random.Generator) -> list[str]:
        """Draw the classes of a mixture's sources."""
        names = self._store.names
        count = 1 + int(rng.choice(len(self.options.counts), p=self.options.counts))
        drawn = [str(rng.choice(names, p=self._weights))]
        if count > 1 and rng.random() < self.options.near and self._near[drawn[0]]:
            drawn.append(str(rng.choice(self._near[drawn[0]])))
        while len(drawn) < count:
            drawn.append(str(rng.choice(names, p=self._weights)))
        return drawn

    def _caption(
        self, names: Sequence[str], wanted: int, absent: bool, rng: np.random.Generator
    ) -> str:
        taxonomy = self._taxonomy
        if absent:
            return self._absent(names, wanted, rng)
        name = names[wanted]
        own = taxonomy.classes[name].captions
        general = sorted(taxonomy.fitting[name] - set(own))
        if general and rng.random() < 0.25:
            return general[rng.integers(len(general))]
        return own[rng.integers(len(own))]

    def _absent(self, names: Sequence[str], wanted: int, rng: np.random.Generator) -> str:
        """Return a caption that is true of none of these classes, half the time a near one.

        Nothing where no caption is likely to be, as in a corpus of a class alone.
        """
        near = self._near[names[wanted]]
        if near and rng.random() < 0.5:
            own = self._taxonomy.classes[near[rng.integers(len(near))]].captions
            caption = own[rng.integers(len(own))]
            if not self._fits_any(caption, names):
                return caption
        for _ in range(ABSENT_TRIES):
            caption = self.captions[rng.integers(len(self.captions))]
            if not self._fits_any(caption, names):
                return caption
        return ""

    def _against(self, names: Sequence[str], wanted: int, rng: np.random.Generator) -> str:
        """Return a caption of a sound beside the wanted one that does not fit that, or nothing.

        It may be a kind of what is asked for: "animal", not "dog".
        """
        taxonomy = self._taxonomy
        if rng.random() < self.options.vainly_against:
            return self._absent(names, wanted, rng)
        others = [name for name in names if name != names[wanted]]
        if not others:
            return ""
        name = others[rng.integers(len(others))]
        own = taxonomy.classes[name].captions
        general = sorted(taxonomy.fitting[name] - set(own))
        choice = general if general and rng.random() < 0.2 else own
        found = choice[rng.integers(len(choice))]
        return "" if taxonomy.fits(found, names[wanted]) else found

    def _fits_any(self, caption: str, names: Sequence[str]) -> bool:
        return any(self._taxonomy.fits(caption, name) for name in names)


def phrase(caption: str, rng: np.random.Generator) -> str:
    """Put a caption into one of the forms in which people write queries."""
    return TEMPLATES[rng.integers(len(TEMPLATES))].format(caption)


def place(
    audio: NDArray[np.float32], samples: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Cut a long clip, place a short one, or repeat it with pauses; returns ``(samples,)``."""
    out = np.zeros(samples, np.float32)
    for start, gain in places(audio.size, samples, rng):
        part = audio[max(-start, 0) : samples - start] * np.float32(gain)
        out[max(start, 0) : max(start, 0) + part.size] = part
    return out


def places(size: int, samples: int, rng: np.random.Generator) -> list[tuple[int, float]]:
    """Draw where in ``samples`` a clip of ``size`` samples begins, and its gain each time.

    One that is cut begins before the first sample. They never overlap.
    """
    if size >= samples:
        return [(-int(rng.integers(size - samples + 1)), 1.0)]
    if size < samples // 2 and rng.random() < 0.6:
        found = []
        start = int(rng.integers(samples // 4))
        while start < samples:
            found.append((start, float(rng.uniform(0.6, 1.0))))
            start += size + int(rng.integers(samples // 3))
        return found
    return [(int(rng.integers(samples - size + 1)), 1.0)]


def augment(audio: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Change speed and pitch, tone, and sometimes room and codec; the length may change."""
    audio = audio[: 6 * SAMPLE_RATE] if audio.size > 6 * SAMPLE_RATE else audio
    if rng.random() < SPEED_SHARE:
        speed = rng.uniform(*SPEEDS)
        old = np.arange(audio.size, dtype=np.float32)
        audio = np.interp(np.arange(0, audio.size - 1, speed), old, audio).astype(np.float32)
    if rng.random() < TONE_SHARE:
        audio = _equalise(audio, rng)
    if rng.random() < ROOM_SHARE:
        audio = _reverberate(audio, rng)
    if rng.random() < CODEC_SHARE:
        audio = encode(audio, rng)
    return audio


def encode(audio: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Send ``(samples,)`` through a lossy codec: Vorbis or MP3 at a low rate, or a telephone.

    What comes back may begin some samples later.
    """
    kind = rng.integers(3)
    peak = np.float32(np.abs(audio).max() + 1e-9)
    rate, form, subtype, level = SAMPLE_RATE, "OGG", "VORBIS", rng.uniform(0.5, LOWEST_RATE)
    if kind == 1:
        form, subtype = "MP3", "MPEG_LAYER_III"
    elif kind == 2:
        rate, form, subtype = 8000, "WAV", ("GSM610", "ULAW")[rng.integers(2)]
    plain = soxr.resample(audio / peak * np.float32(0.9), SAMPLE_RATE, rate)
    file = io.BytesIO()
    options = {} if kind == 2 else {"compression_level": level}
    soundfile.write(file, plain, rate, format=form, subtype=subtype, **options)
    file.seek(0)
    heard, _ = soundfile.read(file, dtype="float32")
    whole = np.asarray(soxr.resample(heard, rate, SAMPLE_RATE), np.float32)
    return np.asarray(whole[: audio.size] * (peak / np.float32(0.9)), np.float32)


def _equalise(audio: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    gains = rng.uniform(-TONE_DB, TONE_DB, KNOTS.size)
    size = 2 * ((audio.size + 2048) // 2)
    frequency = np.fft.rfftfreq(_fast_length(size), 1 / SAMPLE_RATE)
    curve = 10 ** (np.interp(np.log(frequency + 1), KNOTS, gains) / 20)
    spectrum = np.fft.rfft(audio, _fast_length(size)) * curve
    return np.asarray(np.fft.irfft(spectrum)[: audio.size], np.float32)


def _reverberate(audio: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    length = int(rng.uniform(*ROOM_SECONDS) * SAMPLE_RATE)
    decay = np.exp(-np.arange(length) * (ROOM_DECAY / length))
    room = rng.standard_normal(length) * decay
    room *= rng.uniform(*ROOM_LEVELS) / (np.linalg.norm(room) + 1e-9)
    room[0] = 1
    return np.asarray(fftconvolve(audio, room)[: audio.size + length // 2], np.float32)


def _noise(samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    slope = rng.uniform(*NOISE_SLOPES)
    spectrum *= np.maximum(np.arange(spectrum.size), 8.0) ** -slope
    noise = np.fft.irfft(spectrum, samples)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)), np.float32)


def _fast_length(size: int) -> int:
    return 1 << (size - 1).bit_length()


def _rms(audio: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(audio), dtype=np.float64))) + 1e-9


def _neighbours(names: Sequence[str], taxonomy: Taxonomy) -> dict[str, list[str]]:
    """Classes that share a parent, or a grandparent's name, without one being the other's kind."""
    lineages = {name: taxonomy.lineage(name) for name in names}
    return {
        name: [
            other
            for other in names
            if other != name
            and (lineages[name] & lineages[other])
            and name not in lineages[other]
            and other not in lineages[name]
        ]
        for name in names
    }
