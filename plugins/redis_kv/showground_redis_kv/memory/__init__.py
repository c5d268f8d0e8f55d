"""The provider that keeps everything in this process: for unit tests, gone when the process is."""
