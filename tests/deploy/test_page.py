"""The page of a model in a real browser: a sentence is typed, and the answer is read from the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("flask")
pytest.importorskip("waitress")
pytest.importorskip("selenium")

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from narrowgauge.deploy.model import Model, load
from narrowgauge.hw.host.folder import read_engine

from ..support import browser as chromium
from ..support.serving import Fake, serving

pytestmark = pytest.mark.skipif(chromium.missing() is not None, reason=str(chromium.missing()))

SENTENCE = "play some jazz in the kitchen"
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def fake(root: Path) -> Fake:
    return Fake(read_engine(root / "examples" / "voice"))


@pytest.fixture(scope="module")
def virtual(root: Path) -> Iterator[Model]:
    pytest.importorskip("pynq")
    with load(root / "examples" / "voice", on="virtual") as model:
        yield model


def texts_of(driver: Chrome, selector: str) -> list[str]:
    return [element.text for element in driver.find_elements(By.CSS_SELECTOR, selector)]


@pytest.fixture(scope="module")
def driver() -> Iterator[Chrome]:
    with chromium.browser("--window-size=500,800") as found:
        yield found


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "plain"])
def test_a_browser_shows_the_answer(virtual: Model, scripts: bool) -> None:
    """A sentence is typed and sent; class and slots are read from the page, with JavaScript and without."""
    (expected,) = virtual.predict([SENTENCE])
    with serving(virtual) as address, chromium.browser(scripts=scripts) as driver:
        driver.get(address)
        marker = driver.find_element(By.TAG_NAME, "h1")
        chromium.type_sentence(driver, SENTENCE)
        # Only a script can replace the answer without the page around it.
        assert chromium.is_stale(marker) != scripts
        assert driver.find_element(By.ID, "label").text == expected.label == "play_music"
        assert texts_of(driver, "#words .word") == list(expected.words)
        slots = {
            e.find_element(By.CLASS_NAME, "word").text: e.get_attribute("data-slot")
            for e in driver.find_elements(By.CSS_SELECTOR, "#words [data-slot]")
        }
        assert slots == {"jazz": "genre", "kitchen": "room"}
        colours = {
            e.value_of_css_property("color") for e in driver.find_elements(By.CSS_SELECTOR, "#words .chunk")
        }
        assert len(colours) == 3
        assert [int(text) for text in texts_of(driver, "#label ~ .bars .number")] == sorted(expected.logits)[
            :-6:-1
        ]
        widths = [e.size["width"] for e in driver.find_elements(By.CSS_SELECTOR, "#label ~ .bars rect")]
        assert len(widths) == 5 and widths == sorted(widths, reverse=True) and widths[-1] > 0
        counters = {
            e.get_attribute("data-counter"): int(e.get_attribute("textContent") or "")
            for e in driver.find_elements(By.CSS_SELECTOR, "[data-counter]")
        }
        assert expected.cycles is not None and counters == dict(expected.cycles)
        assert driver.find_element(By.ID, "cycles").text == f"{expected.cycles['CYCLES']:,}"
        assert driver.find_element(By.ID, "computed").text == "virtual"
        assert len(driver.find_elements(By.CSS_SELECTOR, "#units svg rect")) == 12
        chromium.type_sentence(driver, "a " * 60)
        assert "longer than the model's" in driver.find_element(By.CSS_SELECTOR, "[role=alert]").text
        chromium.type_sentence(driver, HOSTILE)
        assert texts_of(driver, "#words .word") == [HOSTILE]
        asked = chromium.requests(driver)
        assert len(asked) >= 6 and all(url.startswith(address) for url in asked), asked
        # The third answer is a refusal, which the browser reports; nothing else, such as a broken policy, is.
        reports = [entry["message"] for entry in driver.get_log("browser")]
        assert all("status of 400" in report for report in reports), reports


def test_the_page_fits_a_telephone_and_follows_the_scheme(fake: Fake, driver: Chrome) -> None:
    grounds = set()
    with serving(fake) as address:
        for scheme in ("light", "dark"):
            for width in (320, 500):
                driver.execute_cdp_cmd(
                    "Emulation.setDeviceMetricsOverride",
                    {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True},
                )
                driver.execute_cdp_cmd(
                    "Emulation.setEmulatedMedia",
                    {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
                )
                driver.get(address)
                chromium.type_sentence(driver, " ".join(["a" * 90, *SENTENCE.split()]))
                assert driver.execute_script("return document.documentElement.scrollWidth") <= width
            grounds.add(driver.find_element(By.TAG_NAME, "body").value_of_css_property("background-color"))
    assert len(grounds) == 2


def test_the_keyboard_is_enough(fake: Fake, driver: Chrome) -> None:
    with serving(fake) as address:
        driver.get(address)
        field = driver.switch_to.active_element
        assert field.get_attribute("id") == "text" and texts_of(driver, "label[for=text]") == ["Sentence"]
        field.send_keys(SENTENCE, Keys.ENTER)
        WebDriverWait(driver, 20).until(lambda _: texts_of(driver, "#label"))
        live = driver.find_element(By.ID, "answer")
        assert live.get_attribute("aria-live") == "polite" and live.get_attribute("aria-busy") is None


def test_a_server_that_is_gone_is_told(fake: Fake, driver: Chrome) -> None:
    with serving(fake) as address:
        driver.get(address)
        driver.execute_script("document.querySelector('form').action = 'http://127.0.0.1:9/'")
        chromium.type_sentence(driver, SENTENCE)
        assert "can't be reached" in driver.find_element(By.CSS_SELECTOR, "[role=alert]").text
