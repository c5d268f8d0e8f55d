"""`context.greeter` for apps, and realtime within one process: an example of a plugin, complete."""

from greeter_plugin.plugin import GreeterPlugin

__all__ = ["GreeterPlugin"]
