"""``python -m slowfast COMMAND``, and ``torchrun -m slowfast run``: the same as ``slowfast COMMAND``."""

import sys

from slowfast.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
