"""What every benchmark needs: processes that are always ended, load, rounds, and the table."""
