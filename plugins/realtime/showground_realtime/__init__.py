"""The built-in realtime plugin."""
