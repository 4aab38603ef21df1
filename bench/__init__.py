"""The benchmarks behind docs/evidence: speed, size, and how right the figures are.

`python -m bench` runs them. Some use the servers and messengers of the tests.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))
