"""The bench's browser, on a page of its own."""

from __future__ import annotations

import pytest

from tests.bench.browser import CONTROL, Browser

PAGE = (
    "data:text/html;charset=utf-8,<button>on</button><textarea>first</textarea><p>%C3%A9t%C3%A9</p>"
)


def test_it_reads_clicks_and_types(browser: Browser) -> None:
    browser.open(PAGE)
    assert browser.wait_for("été", "p") == "été"
    browser.run("document.querySelector('button').onclick = e => { e.target.innerText = 'off' }")
    browser.click("button")
    assert browser.text("button") == "off"
    browser.click("textarea")
    browser.type(CONTROL + "a")
    browser.type("second")
    assert browser.run("return document.querySelector('textarea').value") == "second"


def test_what_does_not_come_is_told(browser: Browser) -> None:
    browser.open(PAGE)
    with pytest.raises(TimeoutError, match=r"p: not after 1 s: 'winter' in 'été'"):
        browser.wait_for("winter", "p", seconds=1)
    with pytest.raises(TimeoutError, match="select: not after 1 s: no such element"):
        browser.click("select", seconds=1)
