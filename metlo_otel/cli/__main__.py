"""`python -m metlo_otel.cli` is the same command."""

import sys

from metlo_otel.cli import main

sys.exit(main())
