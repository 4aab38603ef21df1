"""What a setting is called on the command line and in the environment."""

import difflib
from collections.abc import Collection, Iterable, Iterator

ENVIRONMENT_PREFIX = "DEVTELEMETRY_"


def option_name(name: str) -> str:
    """Of the command line."""
    return "--database" if name == "database_url" else "--" + name.replace("_", "-")


def environment_name(name: str) -> str:
    """Of the variable."""
    return ENVIRONMENT_PREFIX + name.upper()


def misspelt_variables(
    variables: Iterable[str], settings: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Those that look as if a setting was meant, each with its name.

    Not all that are no setting: Kubernetes makes some of its own for a service that is called
    devtelemetry.
    """
    known = [environment_name(name) for name in settings]
    for variable in variables:
        name = variable.upper()
        if name.startswith(ENVIRONMENT_PREFIX) and name not in known:
            # Of what follows the prefix, which all have in common.
            ends = [one.removeprefix(ENVIRONMENT_PREFIX) for one in known]
            near = difflib.get_close_matches(
                name.removeprefix(ENVIRONMENT_PREFIX), ends, n=1, cutoff=0.75
            )
            if near:
                yield variable, ENVIRONMENT_PREFIX + near[0]
