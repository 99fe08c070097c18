"""Kinds of sound: their names, synonyms and parents, as tables."""
