"""`python -m deeprecon METHOD VERB`."""

import sys

from deeprecon.cli import main
from deeprecon.jobs.process import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    sys.exit(main())
