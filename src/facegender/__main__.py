"""``python -m facegender``."""

from facegender.cli import main

main()
