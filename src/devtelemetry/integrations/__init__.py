"""Ready modules for messengers that are built on a known library: docs/messengers.md.

Each needs its library (the extras `slixmpp` and `matrix`), the client, and nothing of the server.
"""
