"""`python -m narrowgauge.cli`: the command line, if the entry point is not in PATH."""

import sys

from . import main

sys.exit(main())
