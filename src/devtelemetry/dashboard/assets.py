"""The styles, which are in each page, and the script, which has an address of its own.

With the styles in the page, a browser can show it without a second request. The pages' content
security policy allows these styles by their hash, and no others.
"""

import base64
import hashlib
from importlib import resources

from markupsafe import Markup

AT = "/dashboard-assets/"
SCRIPT_PATH = f"{AT}dashboard.js"

FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 20"><path d="M2 14 7 8l4 4 7-8" '
    'fill="none" stroke="#1f5fbf" stroke-width="2.4" stroke-linecap="round" '
    'stroke-linejoin="round"/></svg>'
)


def _read(name: str) -> str:
    return resources.files(__package__).joinpath("static", name).read_text(encoding="utf-8")


STYLE = Markup(_read("dashboard.css"))  # noqa: S704 - a file of this package
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
SCRIPT = _read("dashboard.js")
VERSION = hashlib.sha256(f"{STYLE}{SCRIPT}".encode()).hexdigest()[:12]
SCRIPT_AT = f"{SCRIPT_PATH}?{VERSION}"
"""Has the version, so that a new release is used at once, whatever the browser cached"""
