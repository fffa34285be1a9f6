"""The page, in a browser: its charts are drawn, say what they show, and nothing is
fetched. AB_SHOTS=folder keeps pictures of it."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from gmpab import page
from gmpab.model import HIGHER, Comparison, Metric, Point, Report, Run

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.support.select import Select  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

DRIVER = Path("/usr/bin/chromedriver")
if not DRIVER.exists():
    pytest.skip("no chromedriver: scripts/install-deps ab", allow_module_level=True)

ODD_NAME = "</script><b>x</b> & $HOME"

METRICS = [
    Metric("throughput", "req/s", HIGHER, own=True),
    *(Metric(f"latency p{p}", "s", own=True) for p in (50, 90, 99, 99.9)),
    Metric("server CPU a request", "s", own=True),
    Metric("wall", "s"),
    Metric("peak RSS", "KiB"),
    Metric("peak kernel threads", ""),
    Metric("major faults", ""),
]


def runs(n: float, rng: np.random.Generator, rounds: int = 8) -> list[Run]:
    """Of a server with n connections, made up: natively worse the more there are."""
    found = []
    for i in range(rounds):
        for side, slow in (("native", 1 + n / 400), ("shim", 1.1 + n / 4000)):
            noise = 1 + 0.06 * rng.standard_normal(len(METRICS))
            base = 2e-5 * n * slow
            values = [1.2e5 / slow, base, 1.6 * base, 4 * base, 11 * base, 7e-6 * slow,
                      1.0, 2000 + (40 if side == "native" else 13) * n,
                      n + 1 if side == "native" else 6, 0]
            noisy = values * noise
            noisy[-2:] = values[-2:]
            found.append(Run(side, i, "exit 0", {
                m.name: float(v) for m, v in zip(METRICS, noisy)}))
    return found


def comparison(name: str, values: list[str | None]) -> Comparison:
    rng = np.random.default_rng(7)
    points = [
        Point(v, runs(float(v or 10), rng), {
            "native": {"peak kernel threads, counted": float(v or 10) + 1},
            "shim": {"peak kernel threads, counted": 6.0}})
        for v in values
    ]
    variable = "connections" if values[0] else None
    return Comparison(name, ["./server", ODD_NAME], "load {connections}", variable,
                      {m.name: m for m in METRICS}, points)


def report(*comparisons: Comparison) -> Report:
    return Report({"CPUs": "2", "kernel": "6.1"}, "2030-01-01", list(comparisons))


REPORTS = {
    "sweep": report(comparison("server", ["10", "100", "1000", "5000"])),
    "single": report(comparison(ODD_NAME, [None])),
    "suite": report(comparison("server", ["10", "1000"]), comparison("other", [None])),
}


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu",
                     "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield driver
    driver.quit()


def view(browser, name: str, folder: Path, width: int = 1200, scheme: str = "light"):
    """Opens the report; gives its charts as Chart.js has them."""
    path = folder / f"{name}.html"
    page.write(REPORTS[name], path)
    cdp = browser.execute_cdp_cmd
    cdp("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": scheme}]})
    size = {"width": width, "deviceScaleFactor": 1, "mobile": width < 600}
    cdp("Emulation.setDeviceMetricsOverride", size | {"height": 900})
    browser.get_log("performance")
    browser.get_log("browser")
    browser.get(path.as_uri())
    if shots := os.environ.get("AB_SHOTS"):
        high = browser.execute_script("return document.documentElement.scrollHeight")
        cdp("Emulation.setDeviceMetricsOverride", size | {"height": high})
        browser.save_screenshot(f"{shots}/{name}-{width}-{scheme}.png")
        cdp("Emulation.setDeviceMetricsOverride", size | {"height": 900})
    return browser.execute_script(CHARTS)


# Of each chart: its title, and of each visible dataset the colour, how many points
# there are and are inside the axes, and how many pixels of that colour are painted.
CHARTS = """
const rgb = (css) => {
  const c = document.createElement("canvas").getContext("2d");
  c.fillStyle = css; c.fillRect(0, 0, 1, 1);
  return [...c.getImageData(0, 0, 1, 1).data].slice(0, 3);
};
return [...document.querySelectorAll("figure.chart canvas")].map((canvas) => {
  const chart = Chart.getChart(canvas);
  const area = chart.chartArea;
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const count = ([r, g, b]) => {
    let n = 0;
    for (let i = 0; i < data.length; i += 4)
      n += data[i + 3] > 200 && Math.abs(data[i] - r) < 3 &&
           Math.abs(data[i + 1] - g) < 3 && Math.abs(data[i + 2] - b) < 3;
    return n;
  };
  return {
    title: canvas.closest("figure").querySelector("figcaption").firstChild.data,
    width: canvas.clientWidth, type: chart.config.type,
    sets: chart.data.datasets.map((d, i) => ({
      side: d.side, points: d.data.length,
      inside: chart.getDatasetMeta(i).data.filter((p) =>
        p.x >= area.left - 1 && p.x <= area.right + 1 &&
        p.y >= area.top - 1 && p.y <= area.bottom + 1).length,
      pixels: d.side ? count(rgb(d.backgroundColor)) : 0,
    })),
  };
});
"""


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_charts_are_drawn(browser, tmp_path, name, scheme, width):
    charts = view(browser, name, tmp_path, width, scheme)
    figures = browser.execute_script("return document.querySelectorAll('figure').length")
    assert len(charts) == figures > 2
    for c in charts:
        for s in c["sets"]:
            assert s["points"] > 0 and s["inside"] == s["points"], c
        sides = {s["side"]: s for s in c["sets"] if s["side"]}
        if c["type"] == "line":
            assert set(sides) == {"native", "shim"}, c
            for s in sides.values():
                assert s["pixels"] > 40, c
        assert 0 < c["width"] <= width, c
    # Nothing is wider than the screen, nothing was complained of, nothing fetched.
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= width
    assert browser.get_log("browser") == []
    asked = [
        json.loads(entry["message"])["message"]
        for entry in browser.get_log("performance")
    ]
    urls = [m["params"]["request"]["url"] for m in asked
            if m["method"] == "Network.requestWillBeSent"]
    assert urls
    assert [u for u in urls if not u.startswith(("file://", "data:"))] == []


def test_which_charts(browser, tmp_path):
    titles = [c["title"] for c in view(browser, "sweep", tmp_path)]
    for wanted in ("throughput by connections", "latency p99 by connections",
                   "memory by threads", "latency by percentile",
                   "server CPU a request by connections"):
        assert wanted in titles
    titles = [c["title"] for c in view(browser, "single", tmp_path)]
    assert titles[0] == "shim against native"
    assert "throughput, run by run" in titles and "latency by percentile" in titles
    assert view(browser, "suite", tmp_path)[0]["title"].endswith("everything")


def test_names_are_text(browser, tmp_path):
    view(browser, "single", tmp_path)
    assert browser.find_element("tag name", "h1").text == ODD_NAME
    assert ODD_NAME in browser.find_element("tag name", "pre").text.replace("'", "")
    assert browser.find_elements("tag name", "b") == []


def test_values_on_hover(browser, tmp_path):
    view(browser, "sweep", tmp_path)
    canvas = browser.find_element("css selector", "figure.chart canvas")
    at = browser.execute_script(
        """const c = Chart.getChart(arguments[0]), i = c.data.datasets.findIndex(
             (d) => d.side === 'shim'), p = c.getDatasetMeta(i).data[2];
           arguments[0].scrollIntoView({block: 'center'});
           return [p.x - arguments[0].clientWidth / 2,
                   p.y - arguments[0].clientHeight / 2].map(Math.round);""", canvas)
    ActionChains(browser).move_to_element_with_offset(canvas, *at).perform()
    shown = browser.execute_script(
        """const t = Chart.getChart(arguments[0]).tooltip;
           const lines = t.body.flatMap((b) => b.lines);
           return [t.opacity, t.title.join(), lines.join('\\n')];""",
        canvas)
    assert shown[0] > 0 and shown[1] == "connections 1 k"
    native, shim = shown[2].splitlines()
    assert "native" in native and "k req/s" in native and " to " in native
    assert "shim" in shim


def test_switch_to_dark_redraws(browser, tmp_path):
    view(browser, "single", tmp_path)
    colour = """const c = Chart.getChart(document.querySelector('canvas'));
                return c.options.scales.x.ticks.color"""
    light = browser.execute_script(colour)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    WebDriverWait(browser, 10).until(lambda b: b.execute_script(colour) != light)
    assert browser.get_log("browser") == []


def test_point_of_the_latencies_can_be_chosen(browser, tmp_path):
    view(browser, "sweep", tmp_path)
    last = """const f = [...document.querySelectorAll('figure.chart')].pop();
              const c = Chart.getChart(f.querySelector('canvas'));
              return c.data.datasets[2].data[0].y"""
    before = browser.execute_script(last)
    choice = Select(browser.find_element("css selector", "figure select"))
    assert choice.first_selected_option.text == "connections = 5000"
    choice.select_by_visible_text("connections = 10")
    assert browser.execute_script(last) < before / 50
    # and the list that was put anew shows it
    choice = Select(browser.find_element("css selector", "figure select"))
    assert choice.first_selected_option.text == "connections = 10"


def test_what_was_measured_here(browser, ab, tmp_path):
    """From the program to the page."""
    assert ab("-n", 5, "-w", 0, "--html", tmp_path / "x.html", "--", "true") == 0
    browser.get((tmp_path / "x.html").as_uri())
    charts = browser.execute_script(CHARTS)
    assert [c["title"] for c in charts] == ["shim against native", "wall, run by run"]
    assert browser.find_element("tag name", "h1").text == "true"
    assert browser.get_log("browser") == []
