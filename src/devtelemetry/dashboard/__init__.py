"""The pages at `/` of the HTTP port: how reliably messages arrive, for people.

In the order in which the data goes through them:

    state     reads and writes the address of a page, which says what is asked for;
              channels_state: that of the list of channels. Pure
    reading   reads stored figures (devtelemetry.figures), once for all viewers of one state;
              subjects: for a channel, a group, a class of losses; beside: what is shown beside a
              line; drilling: what is computed from samples when somebody asks
    views     the content of a page as values: headline, trend, changes, why there is none. Pure
    texts     texts that only pages have; the room `words` has the others. Pure
    charts    the charts, as the values that an SVG is made of. Pure
    render    values as HTML, by templates that escape every value
    drawing   a view as the main part of a page, made once for all viewers. Pure
    frame     a whole page around the main part. Pure
    assets    the styles in each page, and the script, which has an address of its own
    pages     the pages: read, drawn, framed
    export    the figures of a page as CSV and JSON; exports serves them

    guard     lets viewers in: hosts, origins, sign-in, headers. Every request passes it first
    session   the cookie of a viewer who signed in. Pure
    serving   adds the dashboard to the HTTP server

Pages are complete without a script. static/dashboard.js adds times in the browser's zone, fresh
figures, hints on charts, parts of a span by dragging, copies and pictures.

docs/dashboard.md has the pages, the addresses and the rules of safety.
"""
