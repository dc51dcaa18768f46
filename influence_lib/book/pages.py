"""Check rendered pages: pictures say what they show, ids are given once, and nothing is loaded from elsewhere."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from bs4 import BeautifulSoup, Tag

from influence_lib.book.layout import BookError

__all__ = ["check_pages", "violations"]

EXTERNAL = re.compile(r"\s*(https?:)?//", re.IGNORECASE)
# what a browser loads without being asked: attribute by tag; links in <a href> are for the reader to follow
LOADED = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "source": ("src", "srcset"),
    "iframe": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "video": ("src", "poster"),
    "audio": ("src",),
    "track": ("src",),
    "image": ("href", "xlink:href"),
    "use": ("href", "xlink:href"),
}
# relations that load nothing
HARMLESS_LINKS = {"canonical", "next", "prev", "search", "index", "author", "license", "alternate", "help"}
CSS_LOADS = re.compile(r"""(?:url\(\s*|@import\s+)["']?\s*((?:https?:)?//[^"')\s;]+)""", re.IGNORECASE)
IMPORTED = re.compile(r"""\b(?:import|from)\s*\(?\s*["']((?:https?:)?//[^"']+)["']""")
FILE_NAME = re.compile(r"[\w./\\-]+\.(png|jpe?g|gif|svg|webp)", re.IGNORECASE)


def check_pages(folder: Path) -> None:
    """Check every page and style sheet in a folder of rendered HTML.

    Raises
    ------
    BookError
        With one line for each image without alt text, id given twice, resource on another machine, or error output;
        also if the folder holds no page.
    """
    pages = sorted(folder.rglob("*.html"))
    if not pages:
        raise BookError(f"There is no rendered page in {folder}.")
    found = [
        f"{page.relative_to(folder)}: {problem}" for page in pages for problem in violations(page.read_text("utf-8"))
    ]
    for sheet in sorted(folder.rglob("*.css")):
        found += [f"{sheet.relative_to(folder)}: {problem}" for problem in _in_css(sheet.read_text("utf-8"))]
    if found:
        raise BookError("The rendered pages break the rules of the book.\n" + "\n".join(found))


def violations(html: str) -> Iterator[str]:
    """Yield what is wrong with one page."""
    page = BeautifulSoup(html, "html.parser")
    for image in page.find_all("img"):
        alt = str(image.get("alt") or "").strip()
        source = str(image.get("src") or "")
        if not alt:
            yield f"the image {source[:80]} has no alt text"
        elif FILE_NAME.fullmatch(alt) or alt == PurePosixPath(source).name or alt == PurePosixPath(source).stem:
            yield f"the alt text of the image {source[:80]} is only a file name, {alt!r}"
    given = Counter(str(tag["id"]) for tag in page.find_all(id=True))
    yield from (f"the id {name} is given {times} times" for name, times in given.items() if times > 1)
    for tag in page.find_all(True):
        yield from _external(tag)
    if page.select(".output.error, .output_error, .cell_output .traceback"):
        yield "a cell shows an error output"


def _external(tag: Tag) -> Iterator[str]:
    """Yield the resources on other machines that a browser would load for one element."""
    for attribute in LOADED.get(tag.name, ()):
        for address in str(tag.get(attribute) or "").split(","):
            if EXTERNAL.match(address):
                yield f"<{tag.name} {attribute}> loads {address.strip()[:100]}"
    if tag.name == "link" and EXTERNAL.match(str(tag.get("href") or "")):
        relations = {str(relation).lower() for relation in tag.get("rel") or []}
        if not relations or relations - HARMLESS_LINKS:
            yield f"<link rel={' '.join(sorted(relations)) or '?'}> loads {str(tag['href'])[:100]}"
    if tag.name == "style":
        yield from _in_css(tag.get_text())
    if tag.name == "script":
        for address in IMPORTED.findall(tag.get_text()):
            yield f"an inline script imports {address[:100]}"
    yield from _in_css(str(tag.get("style") or ""))


def _in_css(text: str) -> Iterator[str]:
    for address in CSS_LOADS.findall(re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)):
        yield f"a style loads {address[:100]}"
