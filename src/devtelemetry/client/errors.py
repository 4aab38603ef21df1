"""Errors that settings raise. The calls of a running client never raise into the app.

ClientError
├── NotOffered     enabling where the app's build does not offer the option
├── BadSetting     a value that cannot be one: names it and what is allowed
└── Unwritable     the settings file cannot be read or written now
"""


class ClientError(Exception):
    """The root: `str(error)` is one line a person can act on."""


class NotOffered(ClientError):
    """This build of the app does not have the option."""


class BadSetting(ClientError):
    """The value is not one that the setting can have."""


class Unwritable(ClientError):
    """The settings file cannot be read or written; the same call may work later."""
