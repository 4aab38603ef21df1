"""How fast, how large and how right: what docs/evidence shows. `python -m bench` runs all.

Some use the servers and messengers of the tests.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))
