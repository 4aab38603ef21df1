"""Ready modules for messengers that use a well-known library: docs/messengers.md.

Each needs its library (the extras `slixmpp` and `matrix`) and the client, nothing of the server.
"""
