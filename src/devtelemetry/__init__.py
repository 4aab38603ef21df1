"""Dev-Telemetry: how reliably do the messages of a messenger arrive?

Importing this package costs nothing: it pulls in neither the server nor the client.
"""

__version__ = "0.1.0"
