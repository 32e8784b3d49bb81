from html.parser import HTMLParser

from lfranker.report.html_page import Grid, Page, Section, to_html


def page(**changed):
    fields = {
        "title": "powerset demo",
        "answer": "Train on **mae+ssim**.",
        "scope": "Over 12 sites.",
        "caveats": ["One repeat."],
        "standings": Grid(["Losses", "Mean rank"], [["mae", "7.5"]], "The best 1 of `15`."),
        "sections": [
            Section("How sure?", ["In PSNR 4 of 15."], {"Ranks": '<svg id="p"></svg>'}),
            Section("Nothing?"),
            Section(
                "All scores?",
                grids={
                    "Table": Grid(["Losses", "PSNR"], [["mae+ssim", "**30.1**"], ["mae", "29"]])
                },
            ),
        ],
        "against": Grid(["Champion", "PSNR"], [["less the noisy input", "+7.9"]]),
        "strip": ("Field 7.", b"JPEG"),
        "plot": ("Differences.", '<svg id="first"></svg>'),
    }
    return Page(**fields | changed)


class Outline(HTMLParser):
    """Text by tag, and whether every tag is closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.addresses, self.attributes = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.attributes += [(tag, dict(attrs))]
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
    items = [
        ("p", "One repeat."), ("p", "Over 12 sites."), ("figcaption", "Field 7."),
        ("figcaption", "Differences."), ("h2", "Leaderboard"), ("td", "7.5"),
        ("p", "The best 1 of"), ("code", "15"), ("h2", "How sure?"),
        ("li", "In PSNR 4 of 15."), ("figcaption", "Ranks"),
        ("h2", "All scores?"), ("h3", "Table"), ("b", "30.1"), ("td", "29"),
    ]  # fmt: skip
    order = [body.index(item) for item in items]
    assert order == sorted(order)
    assert ("td", "+7.9") in body
    assert to_html(page()).count("<svg") == 2
    assert ("h2", "Nothing?") not in body, "a question without an answer is not asked"


def test_all_behind_the_leaderboard_is_folded_and_open_on_paper():
    text = to_html(page())
    folds = [attributes for tag, attributes in Outline(text).attributes if tag == "details"]
    assert folds == [{}, {}], "none is open"
    assert text.index("<details") > text.index("Leaderboard")
    style, _, body = text.partition("</style>")
    on_paper = style.partition("@media print")[2]
    assert "details::details-content { content-visibility: visible" in on_paper
    assert "<script" not in body
    assert body.count('class="answer"') == 1


def test_the_page_needs_nothing_from_elsewhere():
    text = to_html(page())
    assert Outline(text).addresses == ["data:image/jpeg;base64,SlBFRw=="]
    assert "<script" not in text
    assert "http" not in text


def test_commands_are_code():
    assert "use <code>-P repeats=3</code> &amp;" in to_html(page(answer="use `-P repeats=3` &"))
    assert "one ` only" in to_html(page(answer="one ` only"))


def test_names_are_never_markup():
    grid = Grid(["<script>"], [["<script>"]], "<script>")
    evil = "<script>alert(1)</script> & **half"
    text = to_html(
        page(
            answer=evil, title=evil, caveats=[evil], scope=evil, strip=(evil, b""),
            sections=[Section(evil, [evil], {evil: ""}, {evil: b""}, {evil: grid})],
        )
    )  # fmt: skip

    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; **half" in text
