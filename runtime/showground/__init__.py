"""Showground: a function runtime with a plugin host for live community apps."""
