"""The page and the JSON interface of a model: answers, limits, hostile input, many clients."""

from __future__ import annotations

import html
import http.client
import json
import random
import re
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("flask")
pytest.importorskip("waitress")

from flask.testing import FlaskClient

import narrowgauge
from narrowgauge.deploy.model import LEVELS as LOADED
from narrowgauge.deploy.model import Model, load
from narrowgauge.deploy.serve import Limits, Rate, application, serve
from narrowgauge.deploy.view import LEVELS, chunks, classes, units
from narrowgauge.errors import UserError
from narrowgauge.hw.host.build import EngineBuild
from narrowgauge.hw.host.folder import read_engine
from narrowgauge.hw.isa import COUNTERS
from narrowgauge.text import Labels

from ..support.builds import small_build
from ..support.serving import FREE, Fake, serving

SENTENCE = "play some jazz in the kitchen"


@pytest.fixture(scope="module")
def build(root: Path) -> EngineBuild:
    return read_engine(root / "examples" / "voice")


@pytest.fixture
def fake(build: EngineBuild) -> Fake:
    return Fake(build)


def client(model: Any, limits: Limits = FREE) -> FlaskClient:
    return application(model, limits).test_client()


def ask(web: FlaskClient, text: Any) -> Any:
    return web.post("/api/predict", json={"text": text})


@pytest.fixture(scope="module")
def program(root: Path) -> Iterator[Model]:
    with load(root / "examples" / "voice", on="program") as model:
        yield model


def test_answers_are_those_of_predict(root: Path, program: Model) -> None:
    web = client(program)
    asked = [SENTENCE, "wake me up at seven", "what's the weather in oslo tomorrow"]
    expected = narrowgauge.predict(root / "examples" / "voice", asked)
    for text, prediction in zip(asked, expected, strict=True):
        said = ask(web, text)
        assert said.status_code == 200 and said.content_type == "application/json"
        answer = said.get_json()
        assert answer["label"] == prediction.label and answer["words"] == list(prediction.words)
        assert answer["slots"] == list(prediction.slots or ()) and answer["logits"] == list(prediction.logits)
        assert answer["cycles"] is None and answer["level"] == "program" and answer["seconds"] > 0
        assert answer["classes"][answer["logits"].index(max(answer["logits"]))] == prediction.label
        page = web.post("/", data={"text": text}).get_data(as_text=True)
        assert f'<p class="label" id="label">{prediction.label}</p>' in page
        shown = html.unescape(page)
        assert LEVELS["program"] in shown and 'id="cycles"' not in page
        assert f'value="{text}"' in shown
    assert web.get("/health").get_json() == {"status": "ok", "level": "program", "answered": 6}


def test_every_level_is_explained() -> None:
    assert set(LEVELS) == set(LOADED)


def test_the_page_shows_what_the_engine_counted(fake: Fake) -> None:
    page = client(fake).post("/", data={"text": SENTENCE}).get_data(as_text=True)
    for name, _ in COUNTERS:
        value = re.findall(rf'data-counter="{name}">(\d+)<', page)
        assert value == [str(fake.predict([SENTENCE])[0].cycles[name])]  # type: ignore[index]
    assert re.findall(r'data-unit="(\w+)"', page) == ["array", "vector", "stream"]
    assert "250.00 ms" in page and "0.002 ms" in page and LEVELS["board"] in html.unescape(page)


def test_parts_of_bars(fake: Fake, build: EngineBuild) -> None:
    assert build.frontend is not None
    (answer,) = fake.predict([SENTENCE])
    best = classes(answer, build.frontend.labels.intents)
    assert [bar.value for bar in best] == sorted(answer.logits)[-1:-6:-1]
    assert best[0].name == answer.label and best[0].width == 100
    assert best[1].width == pytest.approx(100 * 37 / 38)
    rng = random.Random(0)
    for _ in range(50):
        cycles = {name: rng.randrange(100) for name, _ in COUNTERS} | {"CYCLES": rng.randrange(400, 500)}
        found = units(cycles)
        assert list(found) == ["array", "vector", "stream"]
        for parts in found.values():
            assert sum(part.value for part in parts) == cycles["CYCLES"]
            assert parts[0].name == "busy" and parts[-1].name == "other"
            assert sum(part.width for part in parts) == pytest.approx(100)
    assert units(dict.fromkeys((name for name, _ in COUNTERS), 0))["array"][0].width == 0


def test_chunks_are_the_spans_of_slots(fake: Fake) -> None:
    (answer,) = fake.predict(["a b c d e f"])
    tagged = replace(answer, slots=("O", "B-x", "I-x", "B-x", "O", "I-y"))
    found = chunks(tagged, ("O", "B-x", "I-x", "B-y", "I-y"))
    assert [(c.words, c.slot, c.colour) for c in found] == [
        ("a", None, 0),
        ("b c", "x", 0),
        ("d", "x", 0),
        ("e", None, 0),
        ("f", "y", 1),
    ]
    assert [c.words for c in chunks(replace(answer, slots=None), ())] == list("abcdef")


def test_pairs_take_two_fields(tmp_path: Path) -> None:
    with load(small_build(tmp_path, pairs=True).folder, on="program") as model:
        web = client(model)
        assert 'name="second"' in web.get("/").get_data(as_text=True)
        (expected,) = model.predict([("play a song", "in the barn")])
        page = web.post("/", data={"text": "play a song", "second": "in the barn"}).get_data(as_text=True)
        assert f'id="label">{expected.label}<' in page and 'value="in the barn"' in page
        assert ask(web, ["play a song", "in the barn"]).get_json()["logits"] == list(expected.logits)
        for text in ("play a song", ["play a song", ""], ["", "play"]):
            said = ask(web, text)
            assert said.status_code == 400 and "sentence" in said.get_json()["error"]


MARKUP = (
    "<script>alert(1)</script>",
    "\"onfocus='x'",
    "{{7*7}}",
    "'><img src=x onerror=y>",
    "&lt;b&gt;",
    "</title>",
    "--><x>",
)


class Elements(HTMLParser):
    """The elements of a page, with the names of their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, [key for key, _ in attrs]))


def test_words_and_labels_are_escaped(build: EngineBuild) -> None:
    """Words, classes and slots may be anything; the page shows them, and the browser executes nothing."""
    assert build.frontend is not None
    names = build.frontend.labels
    labels = Labels(
        tuple(f"{MARKUP[at % len(MARKUP)]}{at}" for at in range(len(names.intents))),
        ("O", *(f"B-{MARKUP[at % len(MARKUP)]}{at}" for at in range(len(names.slots) - 1))),
    )
    web = client(Fake(replace(build, frontend=replace(build.frontend, labels=labels))))
    done = 0
    for text in (*MARKUP, " ".join(MARKUP)):
        page = web.post("/", data={"text": text}).get_data(as_text=True)
        seen = Elements()
        seen.feed(page)
        assert not {name for name, _ in seen.found} & {"img", "x", "b", "iframe"}
        assert [name for name, _ in seen.found].count("script") == 1
        assert not [key for _, keys in seen.found for key in keys if key.startswith("on")]
        shown = html.unescape(page)
        assert "{{7*7}}" in shown
        assert all(word in shown for word in text.split())
        assert labels.intents[-1] in shown
        assert ask(web, text).get_json()["words"] == text.split()
        done += 1
    assert done == 8


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[" * 16000, "application/json", 400),
        (b"{}", "application/json", 400),
        (b"null", "application/json", 400),
        (b'{"text": null}', "application/json", 400),
        (b'{"text": 3}', "application/json", 400),
        (b'{"text": []}', "application/json", 400),
        (b'{"text": ["a", 3]}', "application/json", 400),
        (b'{"text": ["a", "b", "c"]}', "application/json", 400),
        (b'{"text": ["a", "b"]}', "application/json", 400),
        (b'{"text": ""}', "application/json", 400),
        (b'{"text": "  \\t "}', "application/json", 400),
        (b'{"text": "\\ud800 play"}', "application/json", 400),
        (b'{"text": "play", "strict": false}', "application/json", 400),
        (b'{"text": "\xff"}', "application/json", 400),
        (b'{"text": "play"}', "text/plain", 415),
        (b"text=play", "application/x-www-form-urlencoded", 415),
        (b'{"text": "' + b"a" * 1001 + b'"}', "application/json", 400),
        (b'{"text": "' + b"a" * 20000 + b'"}', "application/json", 413),
        (b'{"text": "' + b"a " * 40 + b'"}', "application/json", 400),
    ],
)
def test_what_can_t_be_answered_is_one_sentence(fake: Fake, body: bytes, kind: str, status: int) -> None:
    said = client(fake).post("/api/predict", data=body, content_type=kind)
    assert said.status_code == status and said.content_type == "application/json"
    sentence = said.get_json()["error"]
    assert sentence.endswith(".") and len(sentence) < 300 and "Traceback" not in sentence
    assert fake.runs == 0


def test_random_bodies_are_answered_or_refused(fake: Fake) -> None:
    rng = random.Random(3)
    web = client(fake)
    pieces = [
        b'{"text":',
        b'"play"',
        b"[",
        b"]",
        b"}",
        b",",
        b'"\\u0000"',
        b"\xf0\x9f",
        b"1e999",
        b"NaN",
        b" " * 9,
    ]
    seen: dict[int, int] = {}
    for _ in range(400):
        body = b"".join(rng.choices(pieces, k=rng.randrange(8)))
        if rng.random() < 0.3:
            body = bytes(rng.randrange(256) for _ in range(rng.randrange(60)))
        kind = rng.choice(
            ("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
        )
        said = web.post(rng.choice(("/", "/api/predict")), data=body, content_type=kind)
        assert said.status_code in (200, 400, 415), body
        seen[said.status_code] = seen.get(said.status_code, 0) + 1
    assert sum(seen.values()) == 400 and set(seen) >= {400, 415}


def test_a_refused_sentence_stays_in_the_field(fake: Fake) -> None:
    text = "a <b> " * 20
    said = client(fake).post("/", data={"text": text})
    page = said.get_data(as_text=True)
    assert said.status_code == 400 and 'role="alert"' in page and "longer than the model" in page
    assert f'value="{html.escape(text)}"' in page


def test_methods_and_paths(fake: Fake) -> None:
    web = client(fake)
    assert web.head("/").status_code == 200 and web.head("/").data == b""
    assert "POST" in web.options("/").headers["Allow"]
    for method, path, status in (
        ("PUT", "/", 405),
        ("GET", "/api/predict", 405),
        ("DELETE", "/health", 405),
        ("GET", "/nothing", 404),
        ("GET", "/api/nothing", 404),
        ("GET", "/static/", 404),
        ("GET", "/static/../serve.py", 404),
        ("GET", "/static/%2e%2e/templates/page.html", 404),
        ("POST", "/static/page.css", 405),
    ):
        said = web.open(path, method=method)
        assert said.status_code == status, (method, path)
        assert ("Allow" in said.headers) == (status == 405)
        assert said.is_json == path.startswith(("/api", "/health"))
    assert fake.runs == 0


def test_headers_of_every_answer(fake: Fake) -> None:
    web = client(fake)
    paths = [
        "/",
        "/health",
        "/static/page.css",
        "/static/page.js",
        "/static/icon.svg",
        "/nothing",
        "/api/predict",
    ]
    for path in paths:
        headers = web.get(path).headers
        policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert set(policy.values()) == {"'none'", "'self'"}
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] in ("no-store", "no-cache")


def test_no_file_of_the_page_names_another_origin(root: Path) -> None:
    files = [path for path in (root / "deploy" / "web").rglob("*") if path.is_file()]
    assert len(files) == 5
    for path in files:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in re.sub(r"^//.*", "", text, flags=re.MULTILINE), path
        assert "style=" not in text and "| safe" not in text and "innerHTML" not in text


def test_colours_of_text_have_enough_contrast(root: Path) -> None:
    """WCAG 2.1, 1.4.3: 4.5 to 1 for text, on both grounds, in both schemes."""
    css = (root / "deploy" / "web" / "static" / "page.css").read_text(encoding="utf-8")
    schemes = [
        dict(re.findall(r"--([\w-]+): (#\w{6});", part)) for part in re.findall(r":root {(.*?)}", css, re.S)
    ]
    assert len(schemes) == 2

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one: str, other: str) -> float:
        low, high = sorted((luminance(one), luminance(other)))
        return (high + 0.05) / (low + 0.05)

    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    done = 0
    for scheme in schemes:
        for name in ("text", "quiet", "error", "accent", *(f"c{at}" for at in range(8))):
            for ground in ("ground", "card"):
                assert contrast(scheme[name], scheme[ground]) >= 4.5, (name, ground)
                done += 1
        assert contrast(scheme["on-accent"], scheme["accent"]) >= 4.5
    assert done == 48


def test_the_rate_of_each_client_is_limited() -> None:
    now = 0.0
    rate = Rate(Limits(rate=2, burst=3), lambda: now)
    assert [rate.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert rate.wait("b") == 0
    now = 0.5
    assert [rate.wait("a"), rate.wait("a")] == [0, 0.5]
    now = 1000.0
    assert [rate.wait("a") > 0 for _ in range(4)] == [False, False, False, True]
    # A flood of addresses is forgotten, and takes no more memory than the limit.
    for number in range(5000):
        assert rate.wait(str(number)) == 0
    assert len(rate._buckets) == 1024


def test_too_many_sentences_are_refused(fake: Fake) -> None:
    web = client(fake, Limits(rate=0.5, burst=3))
    answers = [ask(web, SENTENCE) for _ in range(6)]
    assert [said.status_code for said in answers] == [200, 200, 200, 429, 429, 429]
    assert (
        answers[-1].headers["Retry-After"] in ("1", "2")
        and "wait a moment" in answers[-1].get_json()["error"]
    )
    page = web.post("/", data={"text": SENTENCE})
    assert page.status_code == 429 and f'value="{SENTENCE}"' in page.get_data(as_text=True)
    # Everything else is still answered.
    assert web.get("/").status_code == web.get("/health").status_code == 200
    assert fake.runs == 3


def test_one_engine_and_a_short_queue(build: EngineBuild) -> None:
    """Six requests at the same time, with room for one that runs and two that wait: three are refused at once."""
    release = threading.Event()
    fake = Fake(build, lambda: None if release.wait(20) else pytest.fail("never released"))
    app = application(fake, replace(FREE, waiting=2))  # type: ignore[arg-type]
    refused = threading.Semaphore(0)

    def one(_: int) -> int:
        status: int = ask(app.test_client(), SENTENCE).status_code
        if status == 503:
            refused.release()
        return status

    with ThreadPoolExecutor(6) as pool:
        waiting = [pool.submit(one, at) for at in range(6)]
        try:
            assert all(refused.acquire(timeout=20) for _ in range(3))
        finally:
            release.set()
        assert sorted(done.result() for done in waiting) == [200, 200, 200, 503, 503, 503]
    assert fake.most == 1 and fake.runs == 3
    assert ask(app.test_client(), SENTENCE).status_code == 200


@pytest.mark.parametrize(
    "error", [UserError("the DMA did not answer within 2 s."), ValueError("inside"), KeyError(3)]
)
def test_a_failing_engine_is_told_without_a_traceback(build: EngineBuild, error: Exception) -> None:
    fake = Fake(build)

    def fail() -> None:
        raise error

    fake.before = fail
    web = client(fake)
    said = ask(web, SENTENCE)
    assert said.status_code == 500 and "Traceback" not in said.text and "inside" not in said.text
    sentence = str(error) if isinstance(error, UserError) else "the log of the server has its traceback"
    assert sentence in said.get_json()["error"]
    page = web.post("/", data={"text": SENTENCE})
    assert page.status_code == 500 and sentence in page.get_data(as_text=True)
    assert web.get("/health").status_code == 503 and sentence in web.get("/health").get_json()["status"]
    fake.before = lambda: None
    assert ask(web, SENTENCE).status_code == 200
    assert web.get("/health").get_json() == {"status": "ok", "level": "board", "answered": 1}


def test_a_fault_of_a_board_is_told_and_the_next_sentence_is_right(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("pynq")
    from narrowgauge.deploy.board import Board
    from narrowgauge.deploy.model import on_engine
    from narrowgauge.sim.board.faults import MM2S, S2MM, DmaError, Fails

    from ..support.boards import example_case, virtual_device

    case = example_case(root)
    with (
        virtual_device(case, tmp_path) as (device, overlay),
        on_engine(case.build, "virtual", Board(overlay)) as model,
    ):
        web = client(model)
        right = ask(web, SENTENCE).get_json()
        assert right["label"] == "play_music" and right["cycles"]["CYCLES"] > 1000
        for channel in (MM2S, S2MM):
            device.faults.add(Fails(channel, error=DmaError.SLAVE))
            said = ask(web, SENTENCE)
            assert said.status_code == 500 and "channel of the DMA stopped with" in said.get_json()["error"]
            assert web.get("/health").status_code == 503
            assert ask(web, SENTENCE).get_json()["logits"] == right["logits"]
            assert web.get("/health").status_code == 200


def test_other_sites_get_nothing(fake: Fake) -> None:
    """A page of another site can neither post to the server nor reach it through a name of its own."""
    web = application(fake, FREE, names=("localhost", "127.0.0.1", "::1")).test_client()  # type: ignore[arg-type]
    for host, status in (
        ("localhost:8000", 200),
        ("127.0.0.1", 200),
        ("[::1]:8000", 200),
        ("example.org", 400),
        ("localhost.example.org", 400),
        ("[::2]", 400),
        ("a" * 100, 400),
    ):
        assert web.get("/", headers={"Host": host}).status_code == status, host
        assert web.get("/health", headers={"Host": host}).status_code == status, host
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
        said = web.post("/", data={"text": SENTENCE}, headers={"Sec-Fetch-Site": site})
        assert said.status_code == status
    for origin, status in (
        ("http://localhost", 200),
        ("http://localhost:81", 403),
        ("http://example.org", 403),
        ("null", 403),
        ("http://[", 403),
    ):
        said = web.post("/", data={"text": SENTENCE}, headers={"Origin": origin})
        assert said.status_code == status, origin
    assert fake.runs == 3


def test_a_model_without_names_is_refused(build: EngineBuild) -> None:
    with pytest.raises(UserError, match="no program, vocabulary or labels"):
        application(Fake(replace(build, frontend=None)))  # type: ignore[arg-type]


@pytest.fixture
def address(fake: Fake) -> Iterator[str]:
    with serving(fake) as found:
        yield found


def get(address: str, body: bytes | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"} if body else {})
    try:
        with urllib.request.urlopen(request, timeout=20) as said:
            return said.status, said.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_many_clients_of_a_real_server(fake: Fake) -> None:
    """Parallel clients get their own answers, or are refused while the queue is full; none waits without an end."""
    words = [f"word{number}" for number in range(60)]
    with serving(fake, replace(FREE, waiting=3)) as address:
        assert get(address)[0] == 200

        def one(word: str) -> int:
            status, body = get(f"{address}api/predict", json.dumps({"text": word}).encode())
            if status == 200:
                assert json.loads(body)["words"] == [word]
            return status

        with ThreadPoolExecutor(12) as pool:
            seen = list(pool.map(one, words))
        assert set(seen) <= {200, 503} and seen.count(200) == fake.runs >= 10 and fake.most == 1
        assert json.loads(get(f"{address}health")[1])["answered"] == fake.runs


def test_a_real_server_keeps_its_limits(address: str) -> None:
    host = address.removeprefix("http://").rstrip("/")
    status, _ = get(f"{address}api/predict", b'{"text": "' + b"a" * 40000 + b'"}')
    assert status == 413
    connection = http.client.HTTPConnection(host, timeout=20)
    connection.request("GET", "/", headers={"X-Long": "a" * 20000})
    assert connection.getresponse().status == 431
    for line in (
        b"\x00\xff\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", int(host.partition(":")[2])), timeout=20) as raw:
            raw.sendall(line)
            said = raw.recv(4096)
            assert b"Traceback" not in said and b" 200 " not in said.split(b"\r\n")[0]
    assert get(address)[0] == 200


class StoppedError(Exception):
    """Ends a server that would run on."""


def stop(address: str) -> None:
    raise StoppedError(address)


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", None), ("no.such.host.invalid", 1)])
def test_an_address_that_can_t_be_used_is_one_sentence(fake: Fake, host: str, port: int | None) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1] if port is None else port
        with pytest.raises(UserError, match=f"can't listen on {host} port {number} .*--host or --port"):
            serve(fake, host, number, started=stop)  # type: ignore[arg-type]
    for number in (-1, 65536):
        with pytest.raises(UserError, match=f"from 0 to 65535, got {number}"):
            serve(fake, host, number, started=stop)  # type: ignore[arg-type]


def test_only_a_server_for_others_warns(fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    for host in ("127.0.0.1", "localhost", "0.0.0.0"):
        assert caplog.text == ""
        with pytest.raises(StoppedError, match=rf"http://{host}:\d+/"):
            serve(fake, host, 0, started=stop)  # type: ignore[arg-type]
    assert "everyone who can reach 0.0.0.0 can use this engine" in caplog.text
