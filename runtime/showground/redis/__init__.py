"""Redis for the host: a server of our own or any by URL, and one shared, pipelined way to talk to it.

Kept light: importing `showground.redis.api` loads no client. Use `showground.redis.deployment.open_redis`.
"""
