"""Spleeter's two stems: the vocals of a song, and everything else.

The published model of Deezer (Hennequin et al. 2020, "Spleeter: a fast and efficient music source
separation tool with pre-trained models"), whose weights come in a Python package.
"""
