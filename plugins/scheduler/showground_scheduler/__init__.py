"""The built-in scheduler plugin."""
