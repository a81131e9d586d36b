"""`python -m recorder.cli` is `recorder`."""

from . import main

main()
