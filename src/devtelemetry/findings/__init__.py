"""Where the seam is wrong: what an app reports that cannot be as it says.

    kinds  what can be found, when it is, and what to do about it
    look   looks at the latest receipts, once windows were computed, and stores what it finds
    read   what was found, for the report, the dashboard and JSON

A figure is only as good as what apps say. Each finding is a rule over counts; docs/messengers.md
says what they mean. Nothing here reads samples when somebody looks at a page.
"""
