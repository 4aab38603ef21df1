"""The pages at `/` of the HTTP port: how reliably messages arrive, for people.

In the order of the data's way:

    state     what is asked: a page's address, read and written. Pure
    reading   from the stored figures (devtelemetry.figures), once for all viewers of one state
    views     what a page says, as values: headline, trend, what changed, why nothing is said. Pure
    texts     texts of the pages alone; others are in the room `words`. Pure
    charts    the charts' options. Pure
    render    views as HTML, by templates that escape all they are given
    drawing   a view as what a page holds, made once for all viewers. Pure
    pages     the pages themselves (NiceGUI), kept up to date by live
    export    what is shown, as CSV and JSON

    guard     who may come in: hosts, origins, sign-in, headers. All requests pass it first
    session   the cookie of who signed in. Pure
    serving   adds all of it to the HTTP server

docs/dashboard.md has the pages, the addresses and the rules of safety.
"""
