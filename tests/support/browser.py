"""Debian's chromium without a window, and a picture of the page that `narrowgauge-board serve` shows.

    python -m narrowgauge.tests.support.browser BUILD "SENTENCE" --on virtual --out docs/images/board-page.png

Needs the packages chromium and chromium-driver of Debian: selenium is given their paths, so it downloads nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

BROWSERS, DRIVER = ("chromium", "google-chrome"), "chromedriver"
"""Names of the programs: the browser of Debian or that of GitHub's runners, and its driver."""

SECONDS = 30
"""For which the page is waited."""


def missing() -> str | None:
    """The reason why no browser can be started, or None."""
    found = _browser() and shutil.which(DRIVER)
    return None if found else "no browser with its driver; apt install chromium chromium-driver"


def _browser() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def browser(*arguments: str, scripts: bool = True) -> Iterator[Chrome]:
    """A browser that keeps a log of its requests, for `requests`.

    Args:
        arguments: further options of chromium.
        scripts: whether pages may run JavaScript.
    """
    options = ChromeOptions()
    options.binary_location = str(_browser())
    for argument in (
        "--headless=new",
        # Containers of continuous integration run as root and have a small /dev/shm.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        # Neither the page nor the browser reaches anything but this machine.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        *arguments,
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    if not scripts:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    driver = Chrome(options=options, service=Service(shutil.which(DRIVER)))
    try:
        driver.set_page_load_timeout(SECONDS)
        yield driver
    finally:
        driver.quit()


def requests(driver: Chrome) -> list[str]:
    """The addresses that pages asked for since the last call, without the browser's own."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [one["request"]["url"] for one in sent if urlsplit(one["request"]["url"]).scheme != "chrome"]


def type_sentence(driver: Chrome, *texts: str) -> None:
    """Types a sentence, or a pair, presses the button and waits for the answer or the error."""
    for field, text in zip(("text", "second"), texts, strict=False):
        element = driver.find_element(By.ID, field)
        element.clear()
        element.send_keys(text)
    before = driver.find_element(By.CSS_SELECTOR, "#answer > *")
    driver.find_element(By.TAG_NAME, "button").click()
    WebDriverWait(driver, SECONDS).until(lambda _: is_stale(before))


def is_stale(element: WebElement) -> bool:
    """Whether an element has left its page."""
    try:
        element.is_enabled()
    except StaleElementReferenceException:
        return True
    return False


def main() -> None:
    """Types a sentence into the page of a build and writes a picture of the answer."""
    from narrowgauge.deploy.model import load
    from narrowgauge.tests.support.serving import serving

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("sentence")
    parser.add_argument("--on", default="virtual")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    with (
        load(args.build, on=args.on) as model,
        serving(model) as address,
        browser("--window-size=760,900", "--hide-scrollbars") as driver,
    ):
        driver.get(address)
        type_sentence(driver, args.sentence)
        height = driver.execute_script("return document.documentElement.scrollHeight")
        # The window has a frame in addition to the page.
        frame = 900 - driver.execute_script("return innerHeight")
        driver.set_window_size(760, height + frame)
        args.out.write_bytes(driver.get_screenshot_as_png())


if __name__ == "__main__":
    main()
