"""`python -m deeprecon METHOD VERB`."""
import sys

from deeprecon.cli import main

sys.exit(main())
