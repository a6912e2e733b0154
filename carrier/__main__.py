"""``python -m carrier``."""

from carrier.commands import main

main()
