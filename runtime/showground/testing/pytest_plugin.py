"""Pytest fixtures of Showground, for authors of bundles and plugins."""
