"""Suites that every provider of a capability passes: `key_value`, `realtime`, `scheduler`, `community`, `reddit`.

Each is a class of tests. Subclass it in a test file of yours, give it the fixture that it asks for, and run pytest.
"""
