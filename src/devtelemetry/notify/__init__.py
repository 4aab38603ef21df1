"""Tells people of new and ended problems.

In the order of the data's way:

    notices   what is still to be told to whom: rows that outlive the server
    message   several of them as one message for people and programs. Pure
    targets   where a message goes: a webhook, and the services that Apprise knows
    services  what speaks to Apprise, in a process of its own
    notifier  all of it, now and then

docs/problems.md says what is told, and when.
"""
