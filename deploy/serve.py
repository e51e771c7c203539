"""A web page and a JSON interface for one model: type a sentence, see the answer and what the engine did for it.

Flask and waitress serve it: both are pure Python, so they install on 32-bit ARM without a compiler, and Flask is in the
PYNQ images already (2.1 in 3.0 and 3.1). Everything that the browser loads is in `web/`. The page works without
JavaScript; `web/static/page.js` only replaces the answer instead of the whole page.
"""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flask
import waitress.server
from werkzeug.exceptions import (
    BadRequest,
    Forbidden,
    HTTPException,
    InternalServerError,
    ServiceUnavailable,
    TooManyRequests,
    UnsupportedMediaType,
)

from ..errors import LOG, UserError, printable
from ..hw.isa import COUNTERS
from .view import LEVELS, chunks, classes, units

if TYPE_CHECKING:
    from ..text.frontend import Text
    from .model import Answer, Model

HOST = "127.0.0.1"
PORT = 8000

CLOCK_MHZ = 100
"""The frequency for which the page states the time of a number of cycles."""

_CLIENTS = 1024
"""Clients whose rates are kept; the one that was silent longest is forgotten first."""

_CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

_HEADERS = {
    "Content-Security-Policy": _CONTENT_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # With "no-referrer", browsers send the origin "null" with a form of this page.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class Limits:
    """What one server accepts.

    Attributes:
        body: bytes of a request.
        letters: characters of a sentence.
        waiting: requests that wait while the engine works for another; further ones are refused.
        rate: sentences per second and client, in the long run.
        burst: sentences that a client may send at once.
    """

    body: int = 16384
    letters: int = 1000
    waiting: int = 4
    rate: float = 5.0
    burst: int = 20


class Rate:
    """A token bucket for each client.

    Args:
        limits: `rate` and `burst`.
        clock: seconds.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, client: str) -> float:
        """Seconds until a client may send its next sentence; 0 takes a token."""
        with self._lock:
            now = self._clock()
            tokens, then = self._buckets.pop(client, (float(self._limits.burst), now))
            tokens = min(float(self._limits.burst), tokens + (now - then) * self._limits.rate)
            allowed = tokens >= 1
            self._buckets[client] = tokens - allowed, now
            while len(self._buckets) > _CLIENTS:
                self._buckets.popitem(last=False)
            return 0.0 if allowed else (1 - tokens) / self._limits.rate


class _Engine:
    """A model whose engine serves one request after another.

    Attributes:
        answered: sentences that were answered.
        failure: the error of the last run, or None.
    """

    def __init__(self, model: Model, limits: Limits) -> None:
        self._model = model
        self._turn = threading.Lock()
        self._places = threading.BoundedSemaphore(limits.waiting + 1)
        self.answered = 0
        self.failure: str | None = None

    def answer(self, text: Text) -> Answer:
        """The answer for a sentence that the model can read.

        Raises:
            ServiceUnavailable: other requests wait already.
            InternalServerError: the engine failed.
        """
        with self._place():
            try:
                (answer,) = self._model.predict([text])
            except UserError as error:
                self.failure = str(error)
                LOG.warning("the engine failed: %s", error)
                raise InternalServerError(self.failure) from None
            except Exception as error:
                # The sentence for the client says nothing about the inside; the traceback is in the server's log.
                self.failure = "internal error; the log of the server has its traceback."
                flask.current_app.logger.error(self.failure, exc_info=error)
                raise InternalServerError(self.failure) from None
            self.failure = None
            self.answered += 1
            return answer

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise ServiceUnavailable("the engine is busy and others wait already; try again.", retry_after=1)
        try:
            with self._turn:
                yield
        finally:
            self._places.release()


def application(
    model: Model, limits: Limits | None = None, *, names: Sequence[str] | None = None
) -> flask.Flask:
    """The application, for a WSGI server with threads.

    Args:
        model: it is used by one thread at a time, and stays open.
        limits: None for the defaults.
        names: the host names that a request may be for, which keeps other sites from reaching the server through a
            name that resolves to it; None for all.

    Raises:
        UserError: the build has no program or no vocabulary.
    """
    limits = limits or Limits()
    build = model.build
    if build is None or build.frontend is None:
        raise UserError("this build has no program, vocabulary or labels; export it from a training run.")
    frontend = build.frontend
    engine = _Engine(model, limits)
    rate = Rate(limits)
    app = flask.Flask(
        "narrowgauge.deploy.serve",
        static_folder="web/static",
        static_url_path="/static",
        template_folder="web/templates",
        root_path=str(Path(__file__).parent),
    )
    app.config["MAX_CONTENT_LENGTH"] = limits.body

    def predict(text: Text) -> Answer:
        seconds = rate.wait(flask.request.remote_addr or "")
        if seconds:
            raise TooManyRequests(
                "too many sentences in a short time; wait a moment.", retry_after=math.ceil(seconds)
            )
        try:
            frontend.encode([text], strict=True)
        except UserError as error:
            raise BadRequest(str(error)) from None
        return engine.answer(text)

    def page(texts: Sequence[str] = ("", ""), answer: Answer | None = None, error: str | None = None) -> str:
        shown: dict[str, Any] = {}
        if answer is not None:
            shown = {
                "chunks": chunks(answer, frontend.labels.slots),
                "classes": classes(answer, frontend.labels.intents),
                "units": None if answer.cycles is None else units(answer.cycles),
                "counters": COUNTERS,
                "meaning": LEVELS[answer.level],
                "mhz": CLOCK_MHZ,
            }
        return flask.render_template(
            "page.html",
            level=model.level,
            parameters=build.program.parameters,
            frontend=frontend,
            limits=limits,
            texts=texts,
            answer=answer,
            error=error,
            **shown,
        )

    @app.before_request
    def check_origin() -> None:
        request = flask.request
        if names is not None and _host_name(request.host) not in names:
            raise BadRequest(f"this server answers for {', '.join(dict.fromkeys(names))} only.")
        # Browsers send the first only to this machine or over TLS, and the second always.
        site = request.headers.get("Sec-Fetch-Site", "none")
        origin = request.headers.get("Origin", f"//{request.host}").partition("//")[2]
        if request.method == "POST" and (site not in ("same-origin", "none") or origin != request.host):
            raise Forbidden("this page takes no sentences from other sites.")

    @app.after_request
    def add_headers(response: flask.Response) -> flask.Response:
        response.headers.update(_HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    @app.errorhandler(HTTPException)
    def complain(error: HTTPException) -> Any:
        response = error.get_response()
        if response.status_code < 400:
            return error
        sentence = error.description or error.name
        if flask.request.path.startswith(("/api/", "/health")):
            response.data = flask.json.dumps({"error": sentence})
            response.content_type = "application/json"
        else:
            response.data = page(flask.g.get("typed", ("", "")), error=sentence)
            response.content_type = "text/html; charset=utf-8"
        return response

    @app.get("/")
    def show() -> str:
        return page()

    @app.post("/")
    def answer_form() -> str:
        form = flask.request.form
        # The page keeps what was typed, whatever happens to it.
        typed = flask.g.typed = (form.get("text", ""), form.get("second", ""))
        return page(typed, predict(_text(typed if frontend.pairs else typed[:1], limits)))

    @app.post("/api/predict")
    def answer_json() -> Any:
        answer = predict(_text(_texts_of_json(), limits))
        cycles = None if answer.cycles is None else dict(answer.cycles)
        return flask.jsonify({**vars(answer), "cycles": cycles, "classes": frontend.labels.intents})

    @app.get("/health")
    def health() -> Any:
        state = {"status": "ok" if engine.failure is None else engine.failure, "level": model.level}
        return {**state, "answered": engine.answered}, 200 if engine.failure is None else 503

    return app


def _texts_of_json() -> list[str]:
    """The sentences of a JSON request: {"text": "..."} or {"text": ["...", "..."]}."""
    expected = 'expected {"text": "a sentence"}, or {"text": ["one", "two"]} for a model of pairs'
    if not flask.request.is_json:
        raise UnsupportedMediaType(f"{expected}, as application/json.")
    try:
        value = flask.request.get_json()
    except BadRequest:
        raise BadRequest(f"{expected}, got no JSON.") from None
    except RecursionError:
        raise BadRequest(f"{expected}, got lists in lists.") from None
    if not isinstance(value, dict) or set(value) != {"text"}:
        raise BadRequest(f"{expected}.")
    match value["text"]:
        case str(text):
            return [text]
        case [str(first), str(second)]:
            return [first, second]
    raise BadRequest(f"{expected}, got {printable(repr(value['text']), 40)}.")


def _text(texts: Sequence[str], limits: Limits) -> Text:
    """One sentence or a pair, within the limits."""
    for text in texts:
        if len(text) > limits.letters:
            raise BadRequest(
                f"a sentence has at most {limits.letters} characters here, got {len(text)}; shorten it."
            )
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise BadRequest("the sentence must be valid UTF-8.")
    return texts[0] if len(texts) == 1 else (texts[0], texts[1])


def _host_name(host: str) -> str:
    """The name in a header Host, without a port."""
    return host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(
    model: Model,
    host: str = HOST,
    port: int = PORT,
    limits: Limits | None = None,
    *,
    started: Callable[[str], None] = lambda address: None,
) -> None:
    """Serves a model until the process is interrupted.

    Args:
        model: see `application`.
        host: the address to listen on. Any other than a loopback address opens the server to the network, of which a
            warning is logged: there is no password and no encryption.
        port: 0 for a free one.
        limits: None for the defaults.
        started: called with the page's address as soon as it can be opened.

    Raises:
        UserError: the address can't be listened on, or the build has no program or no vocabulary.
    """
    if not 0 <= port <= 65535:
        raise UserError(f"a port is a number from 0 to 65535, got {port}.")
    limits = limits or Limits()
    loopback = _is_loopback(host)
    app = application(model, limits, names=("localhost", "127.0.0.1", "::1", host) if loopback else None)
    try:
        server = waitress.server.create_server(
            app,
            host=host,
            port=port,
            ident="narrowgauge",
            # Those that compute or wait, and two that can say that the queue is full.
            threads=limits.waiting + 3,
            connection_limit=64,
            channel_timeout=30,
            max_request_body_size=limits.body,
            max_request_header_size=16384,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"can't listen on {host} port {port} ({reason}); choose another address with --host or --port."
        ) from None
    if not loopback:
        LOG.warning(
            "everyone who can reach %s can use this engine, without a password; leave --host out to serve this "
            "machine only.",
            host,
        )
    try:
        shown = f"[{host}]" if ":" in host else host
        started(f"http://{shown}:{server.effective_port}/")
        server.run()
    finally:
        server.close()
