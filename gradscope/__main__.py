"""`python -m gradscope` is the command `gradscope`."""

import sys

from gradscope.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
