"""The built-in community plugin."""
