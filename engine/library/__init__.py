"""Whole libraries of recordings: finding them, separating them, knowing what is heard in them."""
