"""The command `devtelemetry`, and `python -m devtelemetry`."""

import sys


def main() -> int:
    """Runs the command line; returns the exit status."""
    if sys.argv[1:2] == ["client"]:
        # Before all else: these are there without the server's packages.
        from devtelemetry.client.cli import run as run_client  # noqa: PLC0415

        return run_client(sys.argv[2:])
    if sys.argv[1:2] == ["desktop"]:
        from devtelemetry.desktop.cli import run as run_desktop  # noqa: PLC0415

        return run_desktop(sys.argv[2:])
    try:
        # Imported here: the client library alone brings none of what this needs.
        from devtelemetry.cli.program import run  # noqa: PLC0415

        return run()
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == "devtelemetry":
            raise
        sys.stderr.write(
            f"devtelemetry: the server is not installed (no module {package}): "
            "run pip install 'devtelemetry[server]'\n"
        )
        return 1


if __name__ == "__main__":
    sys.exit(main())
