"""`recorder ui`: the recorded sessions in the browser, and the API that its pages use.

    asking.py     what a handler is asked (`Ask`), a row of the table of routes (`Route`), answers
    routes.py     THE table of routes; one row for each address
    desk.py       what all handlers share: the store, the read models, threads to work in
    guarding.py   token, cookie, Host, Origin, the headers that every answer carries
    serving.py    the front door's handler: guard, look up the route, tell errors
    statics.py    scripts and styles from the package
    pages.py      the HTML shells
    calls.py      the API of one session: facts, peaks, events, states
    hearing.py    its sound, by ranges of bytes
    helping.py    processes in which what is long is made
    growths.py    the calls that are watched while they are recorded, folded on as they grow
    watching.py   a session that grows: server-sent events, and what is new in it
    changing.py   notes and tags

Conventions:

1. Pages stand at short addresses (`/`, `/reports`, `/compare`, `/session/{id}`), the API below
   `/api/v1/`, scripts and styles at `/static/NAME`. The API is what the pages use and nothing
   else; `/api` lists it from the table. A change that breaks a caller makes it `/api/v2/`.
2. A handler is `async def name(ask: Ask) -> Response`, and gets its row in `routes.py`. It never
   touches the store on the loop: `await ask.work(function, ...)` runs a plain function in a
   worker thread; `ask.desk.store`, `ask.desk.shelf`, `ask.desk.beside` are safe to share there.
3. It answers with `asking.json_answer(value)`, and raises for what is wrong: `UsageError` becomes
   400, `SessionNotFound` 404, `StoreUnavailable` 503, each as `{"error": {"message": ...}}`.
   Anything else is 500 without a word of the exception.
4. A page is a file of HTML in `static/` without a script or a style in it (the policy forbids
   them); `pages.page("name.html")` is its handler. Its modules stand in `static/` too and import
   each other by `./name.js`; what is not there comes from `recorder/page`, so the page of a
   session has the modules of the exported file, with the few replaced that load what a file has
   inside.
5. Text of a session is data on its way from JSON to `textContent`; no answer has it in markup.

Why our own front door and not Starlette on hypercorn: both give what is needed. Theirs has
routing, file ranges and a way to stream events ready; ours has none of these, which cost us about
150 lines here (`routes.py`, `hearing.py`, `watching.py`). For it: it is there, and three servers
of ours stand on it; slow and hostile clients, limits, shutdown and errors are settled and tested;
nothing is installed that a recorder does not need otherwise (Starlette and hypercorn bring six
packages). Sound is computed, not a file, so their ranges would not have served us. What we give
up: HTTP/2, so a browser opens at most six connections to us; a page that follows a session keeps
one, and lets go of it while nobody sees the page.

The limits of a token on loopback: a cookie belongs to a host and not to a port, so a browser that
is sent to another server on 127.0.0.1 shows it this cookie too. It is worthless when this server
has ended, and it is not the token of the link.
"""
