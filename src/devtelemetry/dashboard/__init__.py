"""The pages at `/` of the HTTP port: how reliably messages arrive, for people.

In the order of the data's way:

    state     what is asked: a page's address, read and written; channels_state: of the list of
              channels. Pure
    reading   from the stored figures (devtelemetry.figures), once for all viewers of one state;
              subjects: of a channel, a group, a class of losses; beside: what stands beside a line;
              drilling: what is computed from samples when somebody asks
    views     what a page says, as values: headline, trend, what changed, why nothing is said. Pure
    texts     texts of the pages alone; others are in the room `words`. Pure
    charts    the charts: what an SVG is made of. Pure
    render    values as HTML, by templates that escape all they are given
    drawing   a view as the main part of a page, made once for all viewers. Pure
    frame     a whole page around it. Pure
    assets    the styles in each page, and the script beside it
    pages     the pages: read, drawn, framed
    export    what is shown, as CSV and JSON; exports serves it

    guard     who may come in: hosts, origins, sign-in, headers. All requests pass it first
    session   the cookie of who signed in. Pure
    serving   adds all of it to the HTTP server

Pages are whole without a script. static/dashboard.js adds the browser's own times, fresh figures,
what a pointer on a chart is told, parts of a span by dragging, copies and pictures.

docs/dashboard.md has the pages, the addresses and the rules of safety.
"""
