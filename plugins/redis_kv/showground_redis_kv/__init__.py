"""The built-in redis_kv plugin."""
