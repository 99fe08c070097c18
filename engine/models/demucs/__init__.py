"""Hybrid Transformer Demucs: drums, bass, other instruments and vocals of a song.

The published model `htdemucs` of Meta (Rouard, Massa and Défossez 2023, "Hybrid Transformers for
Music Source Separation"). Its weights are pulled; the network here is our own.
"""
