"""`python -m hpc_testbed` is `hpc-testbed`."""

import sys

from hpc_testbed.cli import main

sys.exit(main())
