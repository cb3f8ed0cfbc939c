"""`python -m crawler`."""

from crawler.cli.main import main

main()
