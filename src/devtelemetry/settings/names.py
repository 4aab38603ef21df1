"""What a setting is called on the command line and in the environment."""

import difflib
from collections.abc import Collection, Iterable, Iterator

ENVIRONMENT_PREFIX = "DEVTELEMETRY_"


def option_name(name: str) -> str:
    """The option on the command line."""
    return "--database" if name == "database_url" else "--" + name.replace("_", "-")


def environment_name(name: str) -> str:
    """The environment variable."""
    return ENVIRONMENT_PREFIX + name.upper()


def misspelt_variables(
    variables: Iterable[str], settings: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Variables that look like a misspelt setting, each with the variable that was probably meant.

    Not every unknown variable is misspelt: Kubernetes sets some of its own for a service that is
    called devtelemetry.
    """
    known = [environment_name(name) for name in settings]
    for variable in variables:
        name = variable.upper()
        if name.startswith(ENVIRONMENT_PREFIX) and name not in known:
            # Compared without the prefix, because all have it in common.
            ends = [one.removeprefix(ENVIRONMENT_PREFIX) for one in known]
            near = difflib.get_close_matches(
                name.removeprefix(ENVIRONMENT_PREFIX), ends, n=1, cutoff=0.75
            )
            if near:
                yield variable, ENVIRONMENT_PREFIX + near[0]
