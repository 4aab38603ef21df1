"""The command `devtelemetry`, and `python -m devtelemetry`."""

import sys

from devtelemetry import __version__
from devtelemetry.runtime.process import make_ready

_CLIENT_ALONE = """\
usage: devtelemetry [--version] [--help] COMMAND …

  client    the opt-in of this machine: status, enable, disable, show, blind
  desktop   the same as a page in a window; needs pip install '.[desktop]'

All other commands belong to the server: run pip install '.[server]'. Run pip in a checkout of
Dev-Telemetry, which is on no package index. The options of a command come after its name:
devtelemetry client status --settings FILE
"""


def main() -> int:
    """Runs the command line; returns the exit status."""
    if sys.argv[1:2] == ["client"]:
        # Before all else: these are there without the server's packages.
        from devtelemetry.client.cli import run as run_client  # noqa: PLC0415

        return run_client(sys.argv[2:])
    if sys.argv[1:2] == ["desktop"]:
        from devtelemetry.desktop.cli import run as run_desktop  # noqa: PLC0415

        return run_desktop(sys.argv[2:])
    make_ready(status_of_sigterm=0 if sys.argv[1:2] == ["serve"] else 143)
    try:
        # Imported here: the client library alone brings none of what this needs.
        from devtelemetry.cli.program import run  # noqa: PLC0415

        return run()
    except KeyboardInterrupt:
        sys.stderr.write("devtelemetry: interrupted\n")
        return 130
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == "devtelemetry":
            raise
        return _run_client_alone(sys.argv[1:], package)


def _run_client_alone(arguments: list[str], missing: str) -> int:
    if arguments[:1] == ["--version"]:
        sys.stdout.write(f"devtelemetry {__version__}\n")
        return 0
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_CLIENT_ALONE)
        return 0
    sys.stderr.write(
        f"devtelemetry: the server is not installed (no module {missing}): "
        "run pip install '.[server]' in a checkout of Dev-Telemetry\n"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
