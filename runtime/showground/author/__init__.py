"""The author surface: `Devvit`, the records behind it, and the loading of a bundle."""
