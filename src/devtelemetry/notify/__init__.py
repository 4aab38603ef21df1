"""Tells people of new and ended problems.

In the order in which the data goes through them:

    notices   what each target still has to be told: rows that outlive the server
    message   several notices as one message for people and programs. Pure
    targets   where a message goes: a webhook, and the services that Apprise knows
    services  calls Apprise, in a process of its own
    notifier  does all of this, now and then

docs/problems.md says what people are told, and when.
"""
