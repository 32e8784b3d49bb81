from html.parser import HTMLParser

from lfranker.report.html_page import Grid, Page, to_html


def page(**changed):
    fields = {
        "title": "powerset demo",
        "answer": "Train on **mae+ssim**.",
        "caveats": ["One repeat."],
        "standings": Grid(["Losses", "Mean rank"], [["mae", "7.5"]], "The best 1 of `15`."),
        "evidence": ["In PSNR 4 of 15."],
        "grids": {
            "Leaderboard": Grid(["Losses", "PSNR"], [["mae+ssim", "**30.1**"], ["mae", "29"]])
        },
        "plots": {"Ranks": '<svg id="p"></svg>'},
        "facts": {"steps": "200"},
    }
    return Page(**fields | changed)


class Outline(HTMLParser):
    """Text by tag, and whether every tag is closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.addresses = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag != "meta":
            self.open.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.found.append((self.open[-1] if self.open else "", data.strip()))


def test_the_answer_comes_first_and_everything_is_there():
    outline = Outline(to_html(page()))
    assert outline.open == []
    body = [item for item in outline.found if item[0] not in ("title", "style")]
    assert body[:3] == [("h1", "powerset demo"), ("p", "Train on"), ("b", "mae+ssim")]
    order = [body.index(item) for item in (("p", "One repeat."), ("td", "7.5"), ("h2", "Ranks"))]
    assert order == sorted(order), "the table comes before the plots"
    for item in (("p", "One repeat."), ("p", "The best 1 of"), ("code", "15"),
                 ("li", "In PSNR 4 of 15."), ("h2", "Ranks"),
                 ("b", "30.1"), ("td", "29"), ("td", "200")):  # fmt: skip
        assert item in body
    assert "<svg" in to_html(page())


def test_the_page_needs_nothing_from_elsewhere():
    text = to_html(page())
    assert Outline(text).addresses == []
    assert "<script" not in text
    assert "http" not in text


def test_commands_are_code():
    assert "use <code>-P repeats=3</code> &amp;" in to_html(page(answer="use `-P repeats=3` &"))
    assert "one ` only" in to_html(page(answer="one ` only"))


def test_names_are_never_markup():
    evil = "<script>alert(1)</script> & **half"
    text = to_html(page(answer=evil, title=evil, facts={evil: evil}, caveats=[evil]))
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; **half" in text
