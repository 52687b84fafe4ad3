"""`python -m impray.cli`."""

import sys

from impray.cli import main

sys.exit(main())
