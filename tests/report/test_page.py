"""The page: its numbers are those of the files, markup in names stays text, it needs no network, and a browser draws all of it without complaint."""

import csv
import html
import html.parser
import json
import math
import re
import shutil
from pathlib import Path

import made_up_comparison
import pytest
from browser import CHROMIUM, WHY_NOT, load

from lifesim.comparison.compare import write_comparison
from lifesim.comparison.results import read_comparison
from lifesim.comparison.schema import FILES
from lifesim.errors import UserError
from lifesim.report.findings import findings
from lifesim.report.page import REPORT, page, write_report

NASTY = '<img src=x onerror=alert(1)>&"</script><script>throw 1</script>'
FIGURES = ("differences", "curve-in_spec_availability", "accuracy", "pareto", "undetected", "wear")


def rename(schedules, label):
    """Give the second schedule another label: what a user may write in front of a schedule is checked less than a name."""
    first, second, *others = schedules
    return [first, type(second)(label, second.scenario), *others]


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("comparison")
    compared = rename(made_up_comparison.alternatives(), NASTY)
    kept = made_up_comparison.made_up(compared)
    write_comparison(directory, compared, kept, "never", {"tests": 0.1}, False)
    write_report(directory)
    return directory


class Table(html.parser.HTMLParser):
    """The cells of one table by (schedule, measure): number in full, and the text shown."""

    def __init__(self, name):
        super().__init__()
        self.name, self.cells, self.schedule, self.inside, self.open = name, {}, None, False, None

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "table":
            self.inside = given.get("id") == self.name
        elif self.inside and tag == "tr":
            self.schedule = given.get("data-schedule")
        elif self.inside and tag == "td":
            self.open = self.schedule, given["data-measure"]
            self.cells[self.open] = [given["data-value"], ""]

    def handle_data(self, data):
        if self.inside and self.open:
            self.cells[self.open][1] += data

    def handle_endtag(self, tag):
        if tag in ("td", "table"):
            self.open = None


def cells(text, name):
    table = Table(name)
    table.feed(text)
    return table.cells


def rows(directory, name):
    with (directory / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_numbers_in_the_tables_are_those_of_the_csv(directory):
    in_page = cells((directory / REPORT).read_text(encoding="utf-8"), "full-table")
    in_file = {(row["schedule"], row["measure"]): row["mean"] for row in rows(directory, "comparison.csv")}
    assert len(in_file) > 150
    assert {key: value for key, (value, _) in in_page.items() if value} == {
        key: repr(float(value)) for key, value in in_file.items() if value
    }
    for row in rows(directory, "pairs.csv"):
        assert row["verdict"] in in_page[row["schedule"], row["measure"]][1]


def test_shares_are_shown_in_percent(directory):
    in_page = cells((directory / REPORT).read_text(encoding="utf-8"), "main-table")
    shown = [
        (value, text) for (_, measure), (value, text) in in_page.items() if measure == "in_spec_availability"
    ]
    assert len(shown) == 11
    for value, text in shown:
        assert math.isclose(float(text.split(" %")[0]), 100 * float(value), abs_tol=0.06)


def test_markup_in_names_stays_text(directory):
    text = (directory / REPORT).read_text(encoding="utf-8")
    assert NASTY not in text
    assert "<img src=x" not in text
    assert text.count("<script") - text.count("<script>throw 1") >= 3
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    embedded = json.loads(data)
    assert NASTY.replace('"', '""') in embedded["csv"]["comparison.csv"]
    assert "<" not in data


def test_every_file_is_in_it_to_the_byte(directory):
    text = (directory / REPORT).read_text(encoding="utf-8")
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    embedded = json.loads(data)["csv"]
    assert embedded == {name: (directory / name).read_text(encoding="utf-8") for name in FILES}
    offered = set(re.findall(r'data-csv="([^"]+)"', text))
    assert offered == set(FILES)


def test_it_asks_nobody_for_anything(directory):
    text = (directory / REPORT).read_text(encoding="utf-8")
    outside_of_scripts = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r'(src|href)="(?!data:|#)', outside_of_scripts)
    assert "default-src 'none'" in text


def test_same_files_same_bytes(directory):
    assert page(read_comparison(directory)) == (directory / REPORT).read_text(encoding="utf-8")


def test_assumptions_and_scenario_are_in_it(directory):
    text = (directory / REPORT).read_text(encoding="utf-8")
    for words in (
        "technology rated_1e4",
        "no trustworthy shape is published",
        "standing A",
        "the preset has 2 y",
        "group.cameras.count = 24",
    ):
        assert words in text.replace("&#34;", '"'), words


@pytest.mark.parametrize(
    ("apart", "said"),
    [(1e-6, "Within 0.01 points of it: "), (1e-2, "Not told apart from it by 8 replications: ")],
)
def test_findings_say_what_is_as_good_and_which_of_it_is_cheapest(tmp_path, apart, said):
    compared = made_up_comparison.alternatives("never,a=periodic:7d,b=periodic:8d")
    kept = made_up_comparison.made_up(compared)
    for number, result in enumerate(kept["b"]):
        like = kept["a"][number]["measures"]
        share = like["in_spec_availability"] - apart * (-1) ** number
        result["measures"] = like | {"in_spec_availability": share, "cost": 0.0}
    write_comparison(tmp_path, compared, kept, "never", {}, True)
    best, *others = findings(read_comparison(tmp_path))
    assert any(best.startswith(f"In spec most of the time: {label}, ") for label in "ab")
    assert others[0] in (f"{said}a.", f"{said}b.")
    assert others[1] == "Of these, b is the cheapest: 0 EUR a device and year."


def test_one_replication_proves_nothing(tmp_path):
    made_up_comparison.write(tmp_path, "never,periodic:7d", replications=1)
    write_report(tmp_path)
    assert any("nothing about chance" in sentence for sentence in findings(read_comparison(tmp_path)))


def test_where_there_is_no_comparison(tmp_path):
    with pytest.raises(UserError, match="no comparison.json"):
        write_report(tmp_path)
    assert not list(tmp_path.iterdir())


# -- in a browser --

PROBE = """<script>addEventListener("load", () => setTimeout(() => {
  const note = document.createElement("pre"); note.id = "probe";
  note.textContent = JSON.stringify(Object.fromEntries([...document.querySelectorAll(".plot")].map((plot) => [plot.id, {
    data: plot.data.map((trace) => ({ name: trace.name, x: trace.x, y: trace.y, type: trace.type })),
    drawn: plot.querySelectorAll(".trace").length, width: plot.getBoundingClientRect().width }])));
  document.body.append(note);
  document.body.dataset.wide = String(document.documentElement.scrollWidth > innerWidth);
}, 3000))</script></body>"""


@pytest.fixture(scope="module")
def in_browser(directory, tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip(WHY_NOT)
    place = tmp_path_factory.mktemp("browser")
    text = (directory / REPORT).read_text(encoding="utf-8")
    probed = place / "probed.html"
    probed.write_text(text.replace("</body>", PROBE), encoding="utf-8")
    found = {}
    for name, size, flags in (
        ("desktop", "1280,900", ()),
        ("phone, dark", "500,900", ("--force-dark-mode",)),
    ):
        elements, console = load(probed, place / name.replace(", ", "-"), *flags, size=size)
        notes = re.search(r'<pre id="probe">(.*?)</pre>', elements, re.DOTALL)
        found[name] = elements, console, json.loads(html.unescape(notes[1])) if notes else None
    shutil.rmtree(place, ignore_errors=True)
    return found


@pytest.mark.parametrize("where", ["desktop", "phone, dark"])
def test_a_browser_draws_it_without_complaint(in_browser, where):
    elements, console, plots = in_browser[where]
    assert console == []
    assert 'data-drawn="6"' in elements
    assert 'data-wide="false"' in elements, "nothing sticks out of the page sideways"
    assert set(plots) == set(FIGURES)
    for name, plot in plots.items():
        assert plot["drawn"] >= 10, name
        assert plot["width"] > 300


def test_what_is_drawn_is_what_the_files_say(in_browser, directory):
    _, _, plots = in_browser["desktop"]
    curves = [
        r
        for r in rows(directory, "curves.csv")
        if r["curve"] == "in_spec_availability" and r["schedule"] == "never"
    ]
    line = next(t for t in plots["curve-in_spec_availability"]["data"] if t.get("name") == "never")
    assert line["y"] == pytest.approx([100 * float(r["mean"]) for r in curves], rel=1e-12)
    pairs = {
        r["schedule"]: float(r["difference"])
        for r in rows(directory, "pairs.csv")
        if r["measure"] == "in_spec_availability"
    }
    drawn = [x for trace in plots["differences"]["data"] for x in trace["x"]]
    assert drawn == pytest.approx([100 * difference for difference in pairs.values()], rel=1e-12)
    wear = [
        float(r["stuck_cells_mean"]) for r in rows(directory, "wear.csv") if r["schedule"] == "periodic:7d"
    ]
    assert next(t for t in plots["wear"]["data"] if t["name"] == "periodic:7d")["y"] == pytest.approx(wear)


@pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)
def test_a_complaint_would_be_heard(tmp_path):
    (tmp_path / "page.html").write_text("<body><script>throw 1</script></body>", encoding="utf-8")
    _, console = load(tmp_path / "page.html", tmp_path / "profile")
    assert len(console) == 1


def test_markup_in_names_does_nothing_in_a_browser(in_browser):
    elements, console, _ = in_browser["desktop"]
    assert console == []
    assert not re.search(r"<img src=.?x", elements)
