"""`python -m impray`."""

import sys

from impray.cli import main

sys.exit(main())
