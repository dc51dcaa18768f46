"""What a reader meets: pages without errors at three widths, search, filters and folds by keyboard, links, contrast."""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
from bs4 import BeautifulSoup

from influence_lib.store import repository
from tests.browser.conftest import HTML

pytestmark = pytest.mark.browser

WIDTHS = (400, 820, 1400)
MATH_IS_SET = "!window.MathJax || !MathJax.startup || MathJax.startup.promise.then(() => true)"
TOO_WIDE = """() => document.documentElement.scrollWidth <= document.documentElement.clientWidth ? [] :
    [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)
    .slice(0, 5).map(e => e.tagName + '.' + e.className)"""


def axe() -> Path:
    """Return axe-core's script, or skip."""
    named = os.environ.get("AXE_CORE")
    file = Path(named) if named else repository() / "node_modules" / "axe-core" / "axe.min.js"
    if not file.is_file():
        pytest.skip("axe-core is not there: `npm install axe-core`, or AXE_CORE=path/to/axe.min.js")
    return file


def test_a_page_has_no_error_and_no_sideways_scroll(tab, site, path):
    tab.goto(f"{site}/{path}")
    tab.evaluate(MATH_IS_SET)
    for width in WIDTHS:
        tab.set_viewport_size({"width": width, "height": 900})
        assert tab.evaluate(TOO_WIDE) == [], width
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.problems == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_and_names(tab, site, path, theme):
    script = axe()
    tab.add_init_script(f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')")
    tab.goto(f"{site}/{path}")
    tab.evaluate(MATH_IS_SET)
    tab.add_script_tag(path=str(script))
    rules = [
        "color-contrast",
        "image-alt",
        "svg-img-alt",
        "button-name",
        "link-name",
        "label",
        "select-name",
        "aria-valid-attr",
    ]
    found = tab.evaluate(
        "rules => axe.run(document.querySelector('main'), {runOnly: rules, resultTypes: ['violations']})", rules
    )
    said = [f"{v['id']}: {node['target']} {node['html'][:120]}" for v in found["violations"] for node in v["nodes"]]
    assert said == []


def test_search_finds_a_word(tab, site):
    tab.goto(f"{site}/search.html?q=leverage")
    tab.wait_for_selector("#search-results li a", timeout=20_000)
    assert "03_beyond" in " ".join(
        link.get_attribute("href") for link in tab.query_selector_all("#search-results li a")
    )
    assert tab.problems == []


def test_the_ledger_filters_by_keyboard(tab, site):
    tab.goto(f"{site}/book/_executed/ledger.html")
    everything = tab.locator(".ledger-card:visible").count()
    assert everything == tab.locator(".ledger-strip a").count() == 40
    tab.locator(".ledger-filters select").first.focus()
    tab.keyboard.press("ArrowDown")
    papers = tab.locator(".ledger-card:visible")
    assert 0 < papers.count() < everything
    assert papers.count() == tab.locator(".ledger-card.source-a").count()
    assert tab.locator(".ledger-filters output").inner_text() == f"{papers.count()} of {everything} rows"
    tab.keyboard.press("Tab")
    tab.keyboard.type("not yet")
    assert tab.locator(".ledger-card:visible").count() == tab.locator(".ledger-card.source-a.v-not-yet").count()
    tab.goto(f"{site}/book/_executed/ledger.html#ledger-c-1")  # a link to a row that is filtered out shows it
    tab.wait_for_selector("#ledger-c-1:visible")


def test_the_ledger_without_javascript_shows_everything(chromium, site):
    context = chromium.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"{site}/book/_executed/ledger.html")
    assert tab.locator(".ledger-card:visible").count() == 40
    assert tab.locator(".ledger-filters").count() == 0
    context.close()


def test_code_folds_and_pictures_open_by_keyboard(tab, site):
    tab.goto(f"{site}/book/_executed/03_beyond.html")
    fold = tab.locator("details.hide").first
    fold.locator("summary").focus()
    tab.keyboard.press("Enter")
    assert fold.evaluate("e => e.open")
    picture = tab.locator("button.enlarge").first
    picture.focus()
    tab.keyboard.press("Enter")
    assert tab.locator("dialog.enlarged").evaluate("e => e.open")
    assert tab.locator("dialog.enlarged img").get_attribute("alt") == picture.locator("img").get_attribute("alt")
    tab.keyboard.press("Escape")
    assert not tab.locator("dialog.enlarged").evaluate("e => e.open")


def test_a_letter_of_the_theory_leads_to_its_statement(tab, site):
    tab.goto(f"{site}/book/_executed/02_theory.html")
    tab.locator(".theory-grid a").nth(3).focus()
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.querySelector(':target').classList.contains('proof')")


def test_every_internal_link_leads_somewhere(site, path):
    text = BeautifulSoup((HTML / path).read_text(encoding="utf-8"), "html.parser")
    links = [str(link["href"]) for link in text.find_all("a", href=True)]
    internal = [link for link in links if not urlsplit(link).scheme and not link.startswith("//")]
    assert internal
    assert [link for link in internal if not leads_somewhere(path, link)] == []


def leads_somewhere(path: str, link: str) -> bool:
    """Return whether the file that a page links to exists, and has the anchor."""
    address, anchor = urldefrag(link)
    target = HTML / unquote(urlsplit(urljoin(f"/{path}", address)).path).lstrip("/")
    if not anchor or target.suffix != ".html":
        return target.exists()
    return target.exists() and unquote(anchor) in ids(target)


_IDS: dict[Path, set[str]] = {}


def ids(page: Path) -> set[str]:
    """Return the anchors of a page, read once."""
    if page not in _IDS:
        text = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
        _IDS[page] = {str(tag[name]) for name in ("id", "name") for tag in text.select(f"[{name}]")}
    return _IDS[page]


def test_the_map_answers_to_keys_choices_and_the_pointer(tab, site):
    tab.goto(f"{site}/book/_executed/07_patterns.html")
    shown = tab.locator(".score-map")
    shown.locator("canvas").first.wait_for()
    details = shown.get_by_text(re.compile(r", id \d+, percentile [\d.]+")).locator("visible=true")
    first = details.first.inner_text()
    slider = shown.get_by_role("slider")
    slider.focus()
    tab.keyboard.press("ArrowRight")
    tab.wait_for_timeout(500)
    second = details.first.inner_text()
    assert second != first
    percentile = [float(text.rsplit(" ", 1)[1]) for text in (first, second)]
    assert percentile[1] < percentile[0]  # the next rank
    shown.get_by_label("Score").select_option("raw loss")
    tab.wait_for_timeout(500)
    assert float(details.first.inner_text().rsplit(" ", 1)[1]) == percentile[1]  # the same rank, by another score
    fold = shown.locator("summary")
    fold.focus()
    tab.keyboard.press("Enter")
    assert shown.locator("table").is_visible()
    assert tab.problems == []
