"""Where engine, doors and hosts meet: the resident process and the command line."""
