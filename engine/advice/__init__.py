"""What to ask for: suggestions, and what is heard in a recording."""
