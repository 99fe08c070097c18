"""REAPER as a host: its scripts and their installation."""
