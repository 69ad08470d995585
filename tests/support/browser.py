"""A headless Chromium that opens pages of the disk, and what axe-core finds in them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

WIDTHS = (1200, 390)
"""Pixels of a desk and of a phone."""
_OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--mute-audio", "--autoplay-policy=no-user-gesture-required", "--hide-scrollbars"),
)


class Browser:
    """One browser for many pages.

    Args:
        driver: Selenium's.
    """

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path, width: int = 1200) -> None:
        """Open a page at a width, in pixels; what an earlier page logged is forgotten."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        self.driver.get(page.as_uri())

    def run(self, script: str, *args: object) -> Any:
        """Return what a script of the page's returns."""
        return self.driver.execute_script(script, *args)

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def complaints(self) -> list[str]:
        """Return errors and warnings of the console since it was asked last."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def violations(self) -> list[str]:
        """Return what axe-core calls serious or critical, each with an element."""
        self.run((files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8"))
        found = self.driver.execute_async_script(
            "axe.run().then(arguments[arguments.length - 1])"
        )
        return [
            f"{each['id']}: {each['nodes'][0]['html']}"
            for each in found["violations"]
            if each["impact"] in {"serious", "critical"}
        ]


def open_browser() -> Iterator[Browser]:
    """Yield a browser; skip the test where there is none."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("chromium and its driver are not installed: pages are not opened")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for option in _OPTIONS:
        options.add_argument(option)
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    try:
        driver.set_script_timeout(60)
        yield Browser(driver)
    finally:
        driver.quit()
