"""Errors that settings raise. A running client never raises an error into the app.

ClientError
├── NotOffered     an opt-in, but the app's build does not offer telemetry
├── BadSetting     a value that the setting cannot have; the text says what is allowed
└── Unwritable     the settings file cannot be read or written now
"""


class ClientError(Exception):
    """The root of all errors. `str(error)` is one line that a person can act on."""


class NotOffered(ClientError):
    """This build of the app does not offer telemetry."""


class BadSetting(ClientError):
    """The setting cannot have this value."""


class Unwritable(ClientError):
    """The settings file cannot be read or written; the same call may work later."""
