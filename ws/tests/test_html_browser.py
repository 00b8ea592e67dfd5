"""The report in a real browser: its filters and links work, it fits a phone and paper, and axe finds no barrier.

Skipped where playwright, Chromium or axe is missing; `pip install playwright axe-playwright-python` and a `chromium`
on the PATH are all it takes.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ws.html.gather import gathered
from ws.html.page import page
from ws.report.verdicts import Record
from ws.tests.documents import ROOT
from ws.tests.test_report import AT_ISO_KL, AT_ONE, GATED, RECORD, TINY

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
MISSING = [name for name in ("playwright", "axe_playwright_python") if find_spec(name) is None]
MISSING += [] if CHROMIUM else ["chromium"]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"a browser test without {', '.join(MISSING)}")

PHONE, TABLET, DESK = 360, 800, 1360
CLAIMS = ["C02", "C05"]
ASKED = {"C02": "test_sweep_is_monotone_in_the_coefficient", "C05": "test_delora_spreads_further_than_lora"}
OUTCOMES = ["HOLDS", "REFUTED", "INCONCLUSIVE"]


def records() -> list[Record]:
    """Two claims of three families, measures and verdicts, and one with whatever else a case may have."""
    some = [
        replace(RECORD, claim=claim, test=ASKED[claim], case=f"{family}-{measure}", measure=measure, outcome=outcome)
        for claim in CLAIMS
        for measure in ("raw", "corrected")
        for family, outcome in zip(("lora", "delora", "oft"), OUTCOMES, strict=True)
    ]
    others = [replace(one, claim="C06", test="test_families_steer") for one in (GATED, TINY, AT_ONE, AT_ISO_KL)]
    return [*some, *others]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(page(gathered(records(), ROOT / "claims")), encoding="utf-8")
    return file.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    # Chromium refuses its sandbox to root, as whom containers run.
    args = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=args)
        yield found
        found.close()


class Told(list[str]):
    """What a tab asked for and complained of, beyond its own file."""


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def tab(browser: "Browser", address: str, told: Told) -> Iterator["Tab"]:
    """The page on a desk; a test fails if it asked for anything else, or if its script or its policy complained."""
    opened = browser.new_page(viewport={"width": DESK, "height": 900})
    opened.set_default_timeout(10_000)
    opened.on("console", lambda message: told.append(message.text))
    opened.on("pageerror", lambda error: told.append(str(error)))
    opened.on("request", lambda asked: told.append(asked.url) if not asked.url.startswith(address) else None)
    opened.goto(address)
    yield opened
    opened.close()
    assert told == []


def shown(tab: "Tab") -> list[str]:
    """The words of every case that is not hidden."""
    return tab.eval_on_selector_all(
        "#claims .panel li:not(.axis)", "all => all.filter(e => e.checkVisibility()).map(e => e.innerText)"
    )


def until(tab: "Tab", met: str) -> None:
    """Wait until an expression is true. Playwright's own way to wait runs it by eval, which the page forbids."""
    for _ in range(100):
        if tab.evaluate(met):
            return
        tab.wait_for_timeout(50)
    raise AssertionError(f"not in 5 seconds: {met}")


def choose(tab: "Tab", **chosen: str) -> None:
    for name, value in chosen.items():
        tab.select_option(f"select[name={name}]", value)


@pytest.mark.parametrize(("width", "scheme"), [(PHONE, "dark"), (DESK, "light")])
def test_axe_finds_nothing(browser: "Browser", address: str, width: int, scheme: Any) -> None:
    import axe_playwright_python

    axe = Path(axe_playwright_python.__file__).parent / "axe.min.js"
    tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    tab.goto(address)
    tab.click("#tables")
    tab.evaluate(axe.read_text(encoding="utf-8"))
    found = tab.evaluate("axe.run(document, {resultTypes: ['violations']})")
    tab.close()
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []
    assert len(found["passes"]) > 20


@pytest.mark.parametrize("width", [PHONE, TABLET, DESK])
def test_nothing_is_wider_than_the_screen(tab: "Tab", width: int) -> None:
    tab.set_viewport_size({"width": width, "height": 800})
    tab.click("#tables")
    assert tab.evaluate("document.documentElement.scrollWidth") == width


def test_filters_work_together(tab: "Tab") -> None:
    everything = shown(tab)
    choose(tab, claim="C05", family="delora")
    of_delora = shown(tab)
    assert 0 < len(of_delora) < len(everything)
    choose(tab, measure="raw", verdict="REFUTED")
    assert 0 < len(shown(tab)) < len(of_delora)
    assert all("REFUTED" in words for words in shown(tab))
    assert tab.is_visible("#C05")
    assert not tab.is_visible("#C02")
    assert [tab.is_visible(f"tr[data-claim={id}]") for id in CLAIMS] == [False, True]
    tab.click("text=Show all")
    until(tab, "document.querySelector('#C02').checkVisibility()")
    assert shown(tab) == everything


def test_the_count_is_told_and_agrees_with_the_table(tab: "Tab") -> None:
    total = len(shown(tab))
    choose(tab, verdict="INVALID")
    n = len(shown(tab))
    assert tab.inner_text("#count") == f"{n} of {total} cases shown, of 1 claim"
    counted = tab.eval_on_selector_all(
        "#counts [data-verdict]",
        "all => all.filter(e => e.checkVisibility()).map(e => [e.dataset.verdict, e.innerText])",
    )
    assert [one for one, _ in counted] == ["INVALID"]
    assert f"{n}" in counted[0][1]
    assert tab.get_attribute("#count", "aria-live") == "polite"


def test_search_takes_words_in_any_order(tab: "Tab") -> None:
    tab.fill("input[name=q]", "than Spreads further")
    assert shown(tab)
    assert not tab.is_visible("#C02")
    tab.fill("input[name=q]", "no such words")
    assert shown(tab) == []


def test_the_address_keeps_the_filters_and_the_place(tab: "Tab", browser: "Browser") -> None:
    choose(tab, family="lora", verdict="HOLDS")
    tab.fill("input[name=q]", "rises & falls")
    tab.fill("input[name=q]", "rises")
    kept = shown(tab)
    tab.click("#counts a[href='#C02']")
    tab.wait_for_url("**#C02&*")
    assert shown(tab) == kept
    other = browser.new_page()
    other.goto(tab.url)
    assert shown(other) == kept
    assert other.input_value("select[name=family]") == "lora"
    assert other.evaluate("document.querySelector('#C02').getBoundingClientRect().top") < 400
    other.close()


def test_a_filter_in_the_address_that_names_nothing_here_filters_nothing(tab: "Tab", address: str) -> None:
    everything = shown(tab)
    tab.goto(f"{address}#family=nobodys&nonsense=1&q=")
    tab.reload()
    assert shown(tab) == everything


def test_a_link_to_what_is_filtered_away_shows_it(tab: "Tab") -> None:
    choose(tab, claim="C05")
    assert not tab.is_visible("#C02")
    tab.evaluate("location.hash = '#C02'")
    until(tab, "document.querySelector('#C02').checkVisibility()")
    assert tab.input_value("select[name=claim]") == ""


def test_every_link_within_the_page_leads_where_it_says(tab: "Tab") -> None:
    links = tab.eval_on_selector_all("nav a, #counts a", "all => all.map(e => e.getAttribute('href'))")
    assert len(links) > 5
    for link in links:
        tab.click(f":is(nav, #counts) a[href='{link}']")
        until(
            tab,
            f"document.getElementById('{link[1:]}').getBoundingClientRect().top < innerHeight",
        )


def test_a_keyboard_is_enough(tab: "Tab") -> None:
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.innerText") == "Skip to the claims"
    tab.keyboard.press("Enter")
    until(tab, "document.querySelector('#claims').getBoundingClientRect().top < 100")
    tab.focus("#C05 details.numbers summary >> nth=0")
    tab.keyboard.press("Enter")
    assert tab.is_visible("#C05 details.numbers table >> nth=0")
    tab.focus("#tables")
    tab.keyboard.press("Space")
    assert tab.get_attribute("#tables", "aria-pressed") == "true"
    assert tab.eval_on_selector_all("details", "all => all.every(e => e.open)")


def test_paper_has_no_filters_and_every_case(tab: "Tab") -> None:
    before = len(shown(tab))
    tab.emulate_media(media="print")
    assert not tab.is_visible("#filters")
    assert not tab.is_visible("nav")
    assert not tab.is_visible("#C05 summary >> nth=0")
    assert len(shown(tab)) == before
    assert tab.eval_on_selector("#C05", "e => getComputedStyle(e).breakInside") == "avoid"
    assert len(tab.pdf(format="A4")) > 10_000


def test_it_reads_without_its_script(browser: "Browser", address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(address)
    assert tab.is_visible("text=DeLoRA spreads furthest >> nth=0")
    assert tab.is_visible("#C05 .panel li >> nth=0")
    context.close()
