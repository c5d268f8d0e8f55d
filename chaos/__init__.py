"""Proof against faults: several real hosts on one real Redis under steady load, while they are killed, frozen and cut off.

`python -m chaos` (or `./run chaos`); docs/chaos.md says what is promised, what is done to break it, and how it is judged.
"""
