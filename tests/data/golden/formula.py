"""The weights, condition and signal behind the golden files: one NumPy generator for each name.

A tensor's generator is `PCG64(crc32(name))`, the name as in the official checkpoint without the
prefix of its part (`ss_model.`, `query_encoder.model.`). Values are drawn in float64.
"""

import zlib

import numpy as np

RATE = 32000


def generator(name):
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def tensor(name, shape):
    leaf = name.rsplit(".", 1)[-1]
    draw = generator(name)
    count = int(np.prod(shape))
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf == "running_mean":
        values = 0.1 * draw.standard_normal(count)
    elif leaf == "running_var":
        values = draw.uniform(0.5, 1.5, count)
    elif leaf == "weight" and len(shape) == 1:
        values = draw.uniform(0.8, 1.2, count)
    elif leaf == "bias":
        values = (0.3 if name.startswith("film.") else 0.1) * draw.standard_normal(count)
    elif name.startswith("film."):
        values = 0.3 * draw.standard_normal(count)
    else:
        values = np.sqrt(_gain(name) / _fan_in(name, shape)) * draw.standard_normal(count)
    values = values.astype(np.float32).reshape(shape)
    # the statistics of magnitudes, which run from 0 to about 100
    if name == "base.bn0.running_mean":
        values = 1 + values
    elif name == "base.bn0.running_var":
        values = 25 * values
    return values.astype(np.float32)


def _fan_in(name, shape):
    transposed = name.startswith("base.decoder") and name.count(".") == 3 and ".conv1." in name
    return shape[0] if transposed and len(shape) == 4 else int(np.prod(shape[1:]))


def _gain(name):
    if name.endswith("after_conv.weight"):
        return 0.2
    if ".shortcut." in name:
        return 1.0
    return 0.5 if ".conv2." in name else 2.0


def state(shapes):
    """Weights for all names but those of the transforms, which are no weights: zeros."""
    return {
        name: np.zeros(shape, np.float32)
        if name.startswith(("base.stft.", "base.istft."))
        else tensor(name, tuple(shape))
        for name, shape in shapes.items()
    }


def condition():
    vector = generator("condition").standard_normal(512)
    return (vector / np.sqrt((vector * vector).sum())).astype(np.float32)


def signal(seconds, name="signal"):
    """Return six gliding sines, noise and silences, peak 0.7: float32 at 32 kHz."""
    count = round(seconds * RATE)
    t = np.arange(count) / RATE
    draw = generator(name)
    x = np.zeros(count)
    for _ in range(6):
        start = draw.uniform(80, 4000)
        stop = start * draw.uniform(0.5, 2.0)
        level = draw.uniform(0.03, 0.15)
        rate = draw.uniform(0.3, 6.0)
        phase = draw.uniform(0, 2 * np.pi)
        hz = start + (stop - start) * (0.5 + 0.5 * np.sin(2 * np.pi * t / 7.0))
        envelope = level * (0.5 + 0.5 * np.sin(2 * np.pi * rate * t + phase))
        x += envelope * np.sin(2 * np.pi * np.cumsum(hz) / RATE)
    noise = np.convolve(draw.standard_normal(count), [0.25, 0.5, 0.25], "same")
    x += 0.05 * noise * (np.sin(2 * np.pi * 0.4 * t) ** 2)
    x *= 1.0 - ((t % 5.0) > 4.7)
    return (0.7 * x / np.abs(x).max()).astype(np.float32)
