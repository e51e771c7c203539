"""`python -m narrowgauge.cli`: the command, where the entry point is not on PATH."""

import sys

from . import main

sys.exit(main())
