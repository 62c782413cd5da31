"""`python -m ialp`, which is how a run starts the stages it builds on."""

import sys

from ialp.cli.main import main

sys.exit(main())
