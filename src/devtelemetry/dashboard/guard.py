"""Who may come in, before anything of the dashboard sees a request.

In this order, each an answer of its own:

    path     only what the dashboard has; all else is 404, and makes no page
    host     on loopback a name of loopback: a page elsewhere that points its own name here (DNS
             rebinding) is refused
    origin   a WebSocket, and a form, must come from a page of this very host: a page elsewhere
             cannot use a viewer's browser to look at figures (cross-site WebSocket hijacking)
    sign-in  where the API asks for a token, a viewer has to sign in
    rate     so many pages and exports an address
    viewers  so many at a time, since each keeps a page in memory

What goes out carries strict headers. Scripts run only with the nonce of their page: NiceGUI writes
inline ones, so the nonce is put in here. It also compiles templates in the browser, which needs
'unsafe-eval'; docs/adr/0021 has what that costs.
"""

import re
import secrets
import time
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs, quote

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from devtelemetry.dashboard import texts
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
from devtelemetry.runtime.rates import AddressRate, address_key, retry_after
from devtelemetry.store.tokens import PREFIX, TokenBook, token_digest

PAGES = frozenset({"/", "/channel", "/window"})
ASSETS = "/dashboard-assets/"
EXPORTS = "/export/"
SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"

PAGES_PER_SECOND = 6.0  # of an address on the long run; each takes some 50 ms to make
ATTEMPTS_PER_SECOND = 0.5  # to sign in, of an address on the long run; five at once
FORM_BYTES = 4096

_FRAMEWORK = "/_nicegui/"
_SOCKET = "/_nicegui_ws/"
_COOKIE = "devtelemetry_session"
_SECURE_COOKIE = "__Host-devtelemetry_session"
_SCRIPT = re.compile(rb"<script(?=[\s>])")

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # `no-referrer` would take the origin from the sign-in form, too.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def content_security_policy(nonce: str) -> str:
    """Nothing from elsewhere, no script without the nonce, no frame around it.

    'unsafe-eval': Vue compiles NiceGUI's templates in the browser. 'unsafe-inline' of styles: Vue
    and Quasar set the attribute `style`, which no nonce covers.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'nonce-{nonce}' 'unsafe-eval'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


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
        """Whether its token is valid still. Raises Unavailable."""
        if cookie is None:
            return False
        session = read_cookie(cookie, self._key, now=self._clock())
        return (
            session is not None and await self._book.check_digest(session.token_digest) is not None
        )

    def count_attempt(self, host: str) -> None:
        """Of this address. Raises Busy."""
        self._attempts.count(host)

    async def cookie_for(self, token: str) -> str | None:
        """None: the token is not valid. Raises Unavailable."""
        if not token.startswith(PREFIX) or await self._book.check(token) is None:
            return None
        ends_at = int(self._clock()) + SESSION_SECONDS
        return write_cookie(Session(token_digest(token), ends_at), self._key)


class Guard:
    """The ASGI middleware; see the top of the file.

    sign_in    None: everybody may look
    make_room  for one more page of this address; False: there is none
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: KnownHosts,
        sign_in: SignIn | None,
        make_room: Callable[[str], bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._sign_in = sign_in
        self._make_room = make_room
        self._pages = AddressRate(PAGES_PER_SECOND, monotonic=monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        nonce = secrets.token_urlsafe(16)
        if scope["type"] == "http":
            send = _Outgoing(send, scope["path"], nonce)
        answer = await self._answer(scope, receive)
        if answer is not None:
            await _refuse(answer, scope, receive, send)
            return
        # A prefix is written into the page; nobody but who runs the server could mean one.
        scope["headers"] = [
            pair for pair in scope["headers"] if pair[0].lower() != b"x-forwarded-prefix"
        ]
        await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response | None:
        """What is said instead of what was asked for; None: it may pass."""
        path, headers = scope["path"], Headers(scope=scope)
        refused = self._refused(scope, headers)
        if refused is not None:
            return refused
        if path in {SIGN_IN, SIGN_OUT}:
            return await self._sign(scope, receive)
        if self._sign_in is not None and not path.startswith((ASSETS, "/favicon.ico")):
            try:
                if not await self._sign_in.holds(session_cookie(headers.get("cookie"))):
                    return self._please_sign_in(scope, headers)
            except Unavailable as error:
                return _unavailable(error)
        return self._crowded(scope) if path in PAGES or path.startswith(EXPORTS) else None

    def _crowded(self, scope: Scope) -> Response | None:
        """Where too many pages are asked for, or are open."""
        host = _client_host(scope)
        try:
            self._pages.count(host)
        except Busy as busy:
            return PlainTextResponse(f"{busy}\n", 429, headers=retry_after(busy))
        if scope["path"] in PAGES and not self._make_room(address_key(host)):
            return PlainTextResponse(
                "Too many pages are open here; try again in a minute.\n",
                503,
                headers={"Retry-After": "60"},
            )
        return None

    def _refused(self, scope: Scope, headers: Headers) -> Response | None:
        """By path, host or origin."""
        if not _is_ours(scope["path"]):
            return _not_found()
        may_change = _may_change(scope)
        refusal = self._hosts.refusal(
            headers.get("host"), headers.get("origin") if may_change else None
        )
        if refusal is not None:
            return PlainTextResponse(f"{refusal.text}\n", refusal.status)
        if may_change and not _says_whence(scope, headers):
            return PlainTextResponse("This must come from a page of this server.\n", 403)
        return None

    def _please_sign_in(self, scope: Scope, headers: Headers) -> Response:
        path = scope["path"]
        if scope["type"] != "http" or path not in PAGES:
            return PlainTextResponse("Sign in first: open the dashboard's page.\n", 401)
        if headers.get("sec-fetch-site") == "cross-site":
            # Who follows a link from elsewhere sends no SameSite=Strict cookie; coming from this
            # page it does.
            return HTMLResponse(render("again.html"))
        after = path + (f"?{scope['query_string'].decode('latin-1')}" * bool(scope["query_string"]))
        return RedirectResponse(f"{SIGN_IN}?next={quote(after, safe='')}", 303)

    async def _sign(self, scope: Scope, receive: Receive) -> Response:
        """In or out."""
        if self._sign_in is None or scope["type"] != "http":
            return _not_found()
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
            return _unavailable(error)
        if cookie is None:
            return _sign_in_page(after, texts.BAD_SIGN_IN, 401)
        return _with_cookie(
            RedirectResponse(_own_address(after), 303), scope, cookie, SESSION_SECONDS
        )


def session_cookie(header: str | None) -> str | None:
    """The session's cookie of a `Cookie` header."""
    if not header:
        return None
    # By hand: other programs on this host set cookies too, some of which no strict parser takes.
    cookies = dict(part.strip().partition("=")[::2] for part in header.split(";"))
    return cookies.get(_SECURE_COOKIE) or cookies.get(_COOKIE)


class _Outgoing:
    """Sends on, with the headers; a page is held until its scripts have their nonce."""

    def __init__(self, send: Send, path: str, nonce: str) -> None:
        self._send = send
        self._is_asset = path.startswith((ASSETS, _FRAMEWORK, "/favicon.ico"))
        self._nonce = nonce
        self._start: Message | None = None
        self._body: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = self._own_headers(message["headers"])
            started = {**message, "headers": headers}
            kind = dict(headers).get(b"content-type", b"")
            if not kind.startswith(b"text/html"):
                await self._send(started)
                return
            self._start = started
        elif message["type"] == "http.response.body" and self._start is not None:
            self._body.append(message.get("body", b""))
            if not message.get("more_body", False):
                await self._send_page(self._start)
        else:
            await self._send(message)

    def _own_headers(self, sent: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        own: Mapping[str, str] = {
            **_HEADERS,
            "Content-Security-Policy": content_security_policy(self._nonce),
            **({} if self._is_asset else {"Cache-Control": "no-store"}),
        }
        names = {name.lower().encode() for name in own}
        kept = [(name.lower(), value) for name, value in sent if name.lower() not in names]
        return [*kept, *((name.lower().encode(), value.encode()) for name, value in own.items())]

    async def _send_page(self, start: Message) -> None:
        page = _SCRIPT.sub(b'<script nonce="%s"' % self._nonce.encode(), b"".join(self._body))
        headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
        headers.append((b"content-length", str(len(page)).encode()))
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": page})


async def _refuse(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
    else:
        await answer(scope, receive, send)


def _is_ours(path: str) -> bool:
    return (
        path in PAGES
        or path in {SIGN_IN, SIGN_OUT, "/favicon.ico"}
        or path.startswith((ASSETS, EXPORTS, _FRAMEWORK, _SOCKET))
    )


def _not_found() -> Response:
    # As FastAPI says it: status-go's clients and scripts saw this here before there were pages.
    return Response('{"detail":"Not Found"}', 404, media_type="application/json")


def _client_host(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _says_whence(scope: Scope, headers: Headers) -> bool:
    """Whether a browser that names no origin says in another way that it is on a page from here."""
    if headers.get("origin") is not None:
        return True
    if scope["type"] == "websocket":  # every browser names the origin of one
        return False
    return headers.get("sec-fetch-site", "same-origin") == "same-origin"


def _may_change(scope: Scope) -> bool:
    """What carries something here: a form, a WebSocket, or its frames by long polling."""
    path: str = scope["path"]
    # A WebSocket has no method.
    return path.startswith(_SOCKET) or scope.get("method") not in {"GET", "HEAD"}


def _own_address(text: str) -> str:
    """Where to go on after signing in: a page of this server, never elsewhere."""
    path, _, query = text.partition("?")
    if path not in PAGES or any(ord(letter) < 0x21 or ord(letter) > 0x7E for letter in text):
        return "/"
    return f"{path}?{query}" if query else path


async def _form(receive: Receive) -> dict[str, str] | None:
    """The fields of a small urlencoded form; None: it is none."""
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


def _sign_in_page(after: str, problem: str = "", status: int = 200) -> Response:
    page = render("sign_in.html", next=_own_address(after), problem=problem)
    return HTMLResponse(page, status)


def _unavailable(error: Unavailable) -> Response:
    return PlainTextResponse(f"{error}\n", 503, headers={"Retry-After": "5"})


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
