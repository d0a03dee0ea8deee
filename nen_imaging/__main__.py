"""`python -m nen_imaging` is `nen-imaging`."""

import sys

from nen_imaging.cli.main import main

sys.exit(main())
