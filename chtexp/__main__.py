"""`python -m chtexp`."""

from chtexp.cli import main

main()
