"""What a setting is called on the command line and in the environment."""

ENVIRONMENT_PREFIX = "DEVTELEMETRY_"


def option_name(name: str) -> str:
    """Of the command line."""
    return "--database" if name == "database_url" else "--" + name.replace("_", "-")


def environment_name(name: str) -> str:
    """Of the variable."""
    return ENVIRONMENT_PREFIX + name.upper()
