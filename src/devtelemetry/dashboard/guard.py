"""Decides who may come in, before any other part of the dashboard sees a request.

Checks in this order, each with an answer of its own:

    path     must be a path of the dashboard; for any other the answer is 404, and no page is made
    host     on loopback, must be a name of loopback. So a page elsewhere whose own name points here
             (DNS rebinding) is refused
    origin   a form must come from a page of this host
    sign-in  where the API asks for a token, a viewer has to sign in
    rate     each address may ask for so many pages, exports and looks at `/fresh` a second

Answers have strict headers: they allow one script and the styles with this hash, nothing else.
"""

import time
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs, quote

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from devtelemetry.dashboard import assets, texts
from devtelemetry.dashboard.frame import OVERVIEW, Frame, framed, problem, theme_of
from devtelemetry.dashboard.render import render
from devtelemetry.dashboard.session import (
    SESSION_SECONDS,
    Session,
    read_cookie,
    session_key,
    write_cookie,
)
from devtelemetry.model.errors import Busy, Unavailable
from devtelemetry.runtime.hosts import KnownHosts
from devtelemetry.runtime.rates import AddressRate, retry_after
from devtelemetry.store.tokens import PREFIX, TokenBook, token_digest

PAGES = frozenset({"/", "/channel", "/channels", "/group", "/window"})
FAVICON = "/favicon.ico"
FRESH = "/fresh"  # the state of the figures, which open pages ask for every 5 seconds
EXPORTS = "/export/"
SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"

PAGES_PER_SECOND = 6.0  # per address in the long run; each takes some 50 ms to make
ATTEMPTS_PER_SECOND = 0.5  # to sign in, per address in the long run; five at once
LOOKS_PER_SECOND = 60.0  # at FRESH, per address: enough for 300 open pages
FORM_BYTES = 4096

_COOKIE = "devtelemetry_session"
_SECURE_COOKIE = "__Host-devtelemetry_session"

# Nothing from elsewhere, no script in a page, no frame around it.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        f"style-src 'sha256-{assets.STYLE_HASH}'",
        "img-src 'self' data: blob:",  # the script draws a chart as an image to save it
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # `no-referrer` would also remove the origin from the sign-in form.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class SignIn:
    """Sessions of viewers, by tokens of scope `read`."""

    def __init__(
        self,
        book: TokenBook,
        id_key: bytes,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._book = book
        self._key = session_key(id_key)
        self._clock = clock
        self._attempts = AddressRate(ATTEMPTS_PER_SECOND, monotonic=monotonic)

    async def holds(self, cookie: str | None) -> bool:
        """Whether the cookie is valid, and its token still is. Raises Unavailable."""
        if cookie is None:
            return False
        session = read_cookie(cookie, self._key, now=self._clock())
        return (
            session is not None and await self._book.check_digest(session.token_digest) is not None
        )

    def count_attempt(self, host: str) -> None:
        """Counts an attempt of this address. Raises Busy if there were too many."""
        self._attempts.count(host)

    async def cookie_for(self, token: str) -> str | None:
        """A new cookie; None if the token is not valid. Raises Unavailable."""
        if not token.startswith(PREFIX) or await self._book.check(token) is None:
            return None
        ends_at = int(self._clock()) + SESSION_SECONDS
        return write_cookie(Session(token_digest(token), ends_at), self._key)


class Guard:
    """The ASGI middleware that makes the checks at the top of this file.

    sign_in  None: everybody may look
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: KnownHosts,
        sign_in: SignIn | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._sign_in = sign_in
        self._pages = AddressRate(PAGES_PER_SECOND, monotonic=monotonic)
        self._looks = AddressRate(LOOKS_PER_SECOND, monotonic=monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        send = _with_headers(send, is_asset=_is_asset(scope["path"]))
        answer = await self._answer(scope, receive)
        await (self._app if answer is None else answer)(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response | None:
        """The answer in place of the page; None if the request may pass."""
        path, headers = scope["path"], Headers(scope=scope)
        refused = self._refused(scope, headers)
        if refused is not None:
            return refused
        if path in {SIGN_IN, SIGN_OUT}:
            return await self._sign(scope, receive)
        if self._sign_in is not None and not _is_asset(path):
            try:
                if not await self._sign_in.holds(session_cookie(headers.get("cookie"))):
                    return self._please_sign_in(scope, headers)
            except Unavailable as error:
                return _unavailable(error, headers)
        return self._crowded(scope, headers)

    def _crowded(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer if this address asks for too much; else None."""
        path = scope["path"]
        if _is_asset(path):
            return None
        try:
            (self._looks if path == FRESH else self._pages).count(_client_host(scope))
        except Busy as busy:
            answer = _said("Too many pages at once", str(busy), 429, headers)
            answer.headers.update(retry_after(busy))
            return answer
        return None

    def _refused(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer if the path, the host or the origin is not allowed; else None."""
        if not _is_ours(scope["path"]):
            return _not_found(headers)
        may_change = _may_change(scope)
        refusal = self._hosts.refusal(
            headers.get("host"), headers.get("origin") if may_change else None
        )
        if refusal is not None:
            return PlainTextResponse(f"{refusal.text}\n", refusal.status)
        if may_change and not _says_whence(headers):
            return PlainTextResponse("This must come from a page of this server.\n", 403)
        return None

    def _please_sign_in(self, scope: Scope, headers: Headers) -> Response:
        path = scope["path"]
        if path not in PAGES:
            return PlainTextResponse("Sign in first: open the dashboard's page.\n", 401)
        if headers.get("sec-fetch-site") == "cross-site":
            # A browser that follows a link from elsewhere does not send a SameSite=Strict cookie.
            # This page makes it ask again, and then it does.
            return HTMLResponse(render("again.html"))
        after = path + (f"?{scope['query_string'].decode('latin-1')}" * bool(scope["query_string"]))
        return RedirectResponse(f"{SIGN_IN}?next={quote(after, safe='')}", 303)

    async def _sign(self, scope: Scope, receive: Receive) -> Response:
        """Signs in or out."""
        if self._sign_in is None:
            return _not_found(Headers(scope=scope))
        method, signs_in = scope["method"], scope["path"] == SIGN_IN
        if method == "POST" and not signs_in:
            return _with_cookie(RedirectResponse(SIGN_IN, 303), scope, "", 0)
        if method == "POST":
            return await self._attempt(self._sign_in, scope, receive)
        if method in {"GET", "HEAD"} and signs_in:
            query = parse_qs(scope["query_string"].decode("latin-1"))
            return _sign_in_page(query.get("next", ["/"])[0])
        return PlainTextResponse("", 405, headers={"Allow": "GET, POST" if signs_in else "POST"})

    async def _attempt(self, sign_in: SignIn, scope: Scope, receive: Receive) -> Response:
        try:
            sign_in.count_attempt(_client_host(scope))
        except Busy as busy:
            page = _sign_in_page("/", "Too many attempts. Wait some seconds, then try again.", 429)
            page.headers.update(retry_after(busy))
            return page
        form = await _form(receive)
        if form is None:
            return PlainTextResponse("This is no form of ours.\n", 400)
        after = form.get("next", "/")
        try:
            cookie = await sign_in.cookie_for(form.get("token", "").strip())
        except Unavailable as error:
            return _unavailable(error, Headers(scope=scope))
        if cookie is None:
            return _sign_in_page(after, texts.BAD_SIGN_IN, 401)
        return _with_cookie(
            RedirectResponse(_own_address(after), 303), scope, cookie, SESSION_SECONDS
        )


def session_cookie(header: str | None) -> str | None:
    """The session cookie in a `Cookie` header."""
    cookies = cookies_of(header)
    return cookies.get(_SECURE_COOKIE) or cookies.get(_COOKIE)


def cookies_of(header: str | None) -> dict[str, str]:
    # By hand: other programs on this host also set cookies, and strict parsers refuse some of them.
    return dict(part.strip().partition("=")[::2] for part in (header or "").split(";"))


def _with_headers(send: Send, *, is_asset: bool) -> Send:
    """`send`, with the headers added."""
    own: Mapping[str, str] = {**_HEADERS, **({} if is_asset else {"Cache-Control": "no-store"})}
    names = {name.lower().encode() for name in own}

    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message["headers"] if pair[0].lower() not in names]
            added = [(name.lower().encode(), value.encode()) for name, value in own.items()]
            message = {**message, "headers": [*kept, *added]}
        await send(message)

    return with_headers


def _is_asset(path: str) -> bool:
    return path == FAVICON or path.startswith(assets.AT)


def _is_ours(path: str) -> bool:
    return (
        path in PAGES
        or path in {SIGN_IN, SIGN_OUT, FRESH}
        or path.startswith(EXPORTS)
        or _is_asset(path)
    )


def _not_found(headers: Headers) -> Response:
    if _is_for_people(headers):
        return _said("There is no such page", texts.NO_PAGE, 404, headers)
    # FastAPI's answer, which status-go's clients and scripts got here before there were pages.
    return Response('{"detail":"Not Found"}', 404, media_type="application/json")


def _said(title: str, text: str, status: int, headers: Headers) -> Response:
    """The text as a page for a browser, else as a line."""
    if not _is_for_people(headers):
        return PlainTextResponse(f"{text}\n", status)
    theme = theme_of(cookies_of(headers.get("cookie")))
    frame = Frame(title, [OVERVIEW], theme, tries_again=status == 503)
    return problem(title, text, frame, status)


def _is_for_people(headers: Headers) -> bool:
    return "text/html" in headers.get("accept", "")


def _client_host(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _says_whence(headers: Headers) -> bool:
    """False only if a browser sends no origin, and Sec-Fetch-Site is not `same-origin`."""
    if headers.get("origin") is not None:
        return True
    return headers.get("sec-fetch-site", "same-origin") == "same-origin"


def _may_change(scope: Scope) -> bool:
    return scope["method"] not in {"GET", "HEAD"}


def _own_address(text: str) -> str:
    """Where to go after signing in: always a page of this server."""
    path, _, query = text.partition("?")
    if path not in PAGES or any(ord(letter) < 0x21 or ord(letter) > 0x7E for letter in text):
        return "/"
    return f"{path}?{query}" if query else path


async def _form(receive: Receive) -> dict[str, str] | None:
    """The fields of a small urlencoded form; None if the body is not one."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > FORM_BYTES:
            return None
        if not message.get("more_body", False):
            break
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=8)
    except ValueError:
        return None
    return {name: values[0] for name, values in fields.items()}


def _sign_in_page(after: str, said: str = "", status: int = 200) -> Response:
    form = render("sign_in.html", next=_own_address(after), problem=said)
    return framed(form, Frame("Sign in"), status)


def _unavailable(error: Unavailable, headers: Headers) -> Response:
    answer = _said("The database cannot be reached", str(error), 503, headers)
    answer.headers["Retry-After"] = "5"
    return answer


def _with_cookie(response: Response, scope: Scope, value: str, seconds: int) -> Response:
    secure = scope["scheme"] == "https"
    response.set_cookie(
        _SECURE_COOKIE if secure else _COOKIE,
        value,
        max_age=seconds,
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )
    return response
