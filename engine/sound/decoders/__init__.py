"""Decoders: from an open file to float32 samples, whatever wrote it and however it ended.

A header's frame count is a hint; what can be decoded is what there is, and where something is
left out, a note says so. Block by block gives the samples of decoding whole. Everything here may
hang or crash on a hostile file, so it runs in a process of its own: `engine.sound.reader`.
"""
