"""The command `devtelemetry`, and `python -m devtelemetry`."""

import sys


def main() -> int:
    """Runs the command line; returns the exit status."""
    try:
        # Imported here: the client library alone brings none of what this needs.
        from devtelemetry.cli import run  # noqa: PLC0415

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
