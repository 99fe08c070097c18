"""Audacity as a host: its pipe, its timeline, its menu commands."""
