"""A stand-in editor, as somebody would add one: this package, and its name in the registry."""
