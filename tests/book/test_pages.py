"""The rendered pages: alt text, no request to another machine, a real build."""

import re
from pathlib import Path

import nbformat
import pytest

from influence_lib.book import Book, BookError
from influence_lib.book.chapters import Chapter
from influence_lib.book.pages import check_pages, violations
from influence_lib.book.render import render

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("html", "said"),
    [
        ('<img src="_images/a.png">', "the image _images/a.png has no alt text"),
        ('<img src="a.png" alt=" ">', "has no alt text"),
        ('<img src="_images/3f2a.png" alt="_images/3f2a.png">', "is only a file name"),
        ('<img src="_static/logo.svg" alt="logo">', "is only a file name, 'logo'"),
        ('<script src="https://cdn.example/x.js"></script>', "<script src> loads https://cdn.example/x.js"),
        ('<script src="//cdn.example/x.js"></script>', "<script src> loads //cdn"),
        (
            '<script type="module">import x from "https://e.org/x.mjs"</script>',
            "an inline script imports",
        ),
        ('<link rel="stylesheet" href="http://e.org/x.css">', "<link rel=stylesheet> loads"),
        ('<link rel="preload" href="https://e.org/f.woff2">', "<link rel=preload> loads"),
        ('<link rel="shortcut icon" href="https://e.org/f.ico">', "<link rel=icon shortcut> loads"),
        ('<img alt="A cat" src="https://e.org/cat.png">', "<img src> loads"),
        ('<img alt="A cat" src="c.png" srcset="c.png 1x, https://e.org/c2.png 2x">', "<img srcset> loads"),
        ('<iframe src="https://e.org"></iframe>', "<iframe src> loads"),
        ('<video poster="https://e.org/p.png"></video>', "<video poster> loads"),
        ("<style>@import 'https://e.org/x.css';</style>", "a style loads https://e.org/x.css"),
        ('<div style="background: url(//e.org/b.png)"></div>', "a style loads //e.org/b.png"),
        ('<p id="a"></p><p id="a"></p><p id="b"></p>', "the id a is given 2 times"),
        (
            '<div class="cell_output"><div class="traceback"></div></div>',
            "error",
        ),
    ],
)
def test_a_page_that_breaks_a_rule_fails(tmp_path: Path, html: str, said: str) -> None:
    (found,) = violations(html)
    assert said in found
    (tmp_path / "page.html").write_text(html)
    with pytest.raises(BookError, match=re.escape(f"page.html: {found}")):
        check_pages(tmp_path)


def test_a_page_in_order_passes(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        '<link rel="canonical" href="https://e.org/page"><link rel="stylesheet" href="_static/x.css">'
        '<a href="https://arxiv.org/abs/2412.17170">paper</a><img src="a.png" alt="Scores fall">'
        '<script src="_static/x.js"></script><img src="data:image/png;base64,AA//" alt="A cat">'
        "<style>a { background: url(_static/b.png) } /* url(https://e.org/x) */</style>"
    )
    check_pages(tmp_path)


def test_style_sheets_are_checked_and_an_empty_folder_is_no_book(tmp_path: Path) -> None:
    with pytest.raises(BookError, match="There is no rendered page"):
        check_pages(tmp_path)
    (tmp_path / "page.html").write_text("<p>")
    (tmp_path / "x.css").write_text('@import url("https://fonts.example/f.css");')
    with pytest.raises(BookError, match=r"x\.css: a style loads https://fonts\.example/f\.css"):
        check_pages(tmp_path)


METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}


def small_book(root: Path, text: str) -> tuple[Book, list[Chapter]]:
    """Return a book of one executed chapter with this text and a picture, configured as the project's."""
    book = Book(root)
    book.executed.mkdir(parents=True)
    (root / "book" / "_static").symlink_to(ROOT / "book" / "_static")
    (root / "book" / "references.bib").symlink_to(ROOT / "book" / "references.bib")
    (root / "_config.yml").symlink_to(ROOT / "_config.yml")
    (root / "_toc.yml").write_text("format: jb-book\nroot: book/_executed/01_one\n")
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    picture = nbformat.v4.new_output("display_data", data={"image/png": pixel})
    alt = {"mystnb": {"image": {"alt": "One dot"}, "figure": {"caption": "A dot.", "name": "fig-dot"}}}
    cells = [
        nbformat.v4.new_markdown_cell(text),
        nbformat.v4.new_code_cell("show()", execution_count=1, outputs=[picture], metadata=alt),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=METADATA)
    (book.executed / "01_one.ipynb").write_text(nbformat.writes(notebook))
    return book, [Chapter("01_one", "smoke", notebook, {}, {}, "")]


def test_a_real_build_is_offline_and_has_alt_text(tmp_path: Path) -> None:
    statements = "".join(
        f"::::{{prf:proposition}} {name}\n:label: {name}\n\nTrue.\n::::\n\n:::{{prf:proof}}\nAs seen.\n:::\n\n"
        for name in ("first", "second")
    )
    text = "Mathematics $x^2$, {cite:p}`koh2017` and {numref}`fig-dot`.\n\n```{bibliography}\n```"
    book, every = small_book(tmp_path, f"# One\n\n{statements}{text}")
    render(every, book)
    check_pages(book.html)
    html = (book.html / "book" / "_executed" / "01_one.html").read_text()
    assert 'alt="One dot"' in html
    assert {"first", "first-content", "first-proof", "second-proof"} <= set(re.findall(r'id="([a-z-]+)"', html))
    assert '<span class="std std-numref">Fig. 1</span>' in html
    assert re.search(r'Fig\. 1 </span><span class="caption-text">A dot\.', html)
    (script,) = re.findall(r'src="([^"]*mathjax[^"]*\.js)[^"]*"', html)
    assert (book.html / "book" / "_executed" / script).resolve().stat().st_size > 1_000_000


def test_a_warning_of_sphinx_fails_the_build(tmp_path: Path) -> None:
    book, every = small_book(tmp_path, "# One\n\n{doc}`nowhere`")
    with pytest.raises(BookError, match="jupyter-book failed with status 1"):
        render(every, book)


def test_a_chapter_missing_from_the_table_of_contents_is_refused(tmp_path: Path) -> None:
    book, every = small_book(tmp_path, "# One")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: intro\n")
    with pytest.raises(BookError, match=r"add `file: book/_executed/01_one` to _toc\.yml"):
        render(every, book)
