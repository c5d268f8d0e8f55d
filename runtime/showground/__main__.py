"""`python -m showground` is the command line."""

from showground.cli import main

main()
