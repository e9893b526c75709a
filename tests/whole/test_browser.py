"""MLflow's UI and the report as a person sees them, in a real browser that needs no screen.

Playwright and not Selenium, since it drives the system's own Chromium as it is, without a driver of
the same version beside it, and waits until what is asked for is on the page.
`--screenshots FOLDER` keeps what the browser showed.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import pytest

from tests.whole.mlflow_server import free_port
from tests.whole.repositories import Repository, copied
from tests.whole.serving import serving

playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: `make test` has it"
)
from playwright.sync_api import Browser, Page, expect, sync_playwright  # noqa: E402 - skipped without it

CHROMIUM = shutil.which("chromium")
AUTOENCODERS = ("dense_ae", "conv_ae")

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.skipif(not CHROMIUM, reason="no `chromium` on PATH: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def ui(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the UI over a small pipeline whose models are champions."""
    clone = copied(repository, tmp_path_factory.mktemp("browser") / "clone")
    clone.python("-m", "pipeline", "promote")
    port = free_port()
    with serving(
        [sys.executable, "-m", "pipeline", "ui", "--port", str(port)],
        clone.path,
        clone.environment(),
        f"http://127.0.0.1:{port}/health",
        clone.path / "ui.log",
    ):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def browser() -> Iterator[Browser]:
    """A browser that waits for as long as a test may hang, which is no promise."""
    expect.set_options(timeout=60_000)  # milliseconds
    with (
        sync_playwright() as driver,
        # Chromium's sandbox protects from the pages, which are ours; root may not use it.
        driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as browser,
    ):
        yield browser


@pytest.fixture
def screenshots(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where what the browser showed is kept."""
    return Path(request.config.getoption("--screenshots") or tmp_path)


@pytest.fixture
def page(
    ui: str,
    repository: Repository,
    browser: Browser,
    screenshots: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Page]:
    """The list of the runs."""
    experiment = repository.client.get_experiment_by_name("autoencoders")
    assert experiment
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(60_000)
    page.goto(f"{ui}/#/experiments/{experiment.experiment_id}/runs")
    yield page
    page.screenshot(path=screenshots / f"{request.node.name}.png")


def test_the_runs_are_listed_with_their_datasets(page: Page) -> None:
    for name in (*AUTOENCODERS, "classifier", "visualize"):
        expect(page.get_by_role("link", name=name, exact=True)).to_have_count(1)
    expect(page.get_by_text("mnist.pkl (")).to_have_count(3)


def test_two_autoencoders_compare_in_the_same_metrics(page: Page, repository: Repository) -> None:
    for name in AUTOENCODERS:
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name=name)).first
        row.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_text("Comparing 2 Runs from 1 Experiment")).to_be_visible()
    for name in AUTOENCODERS:
        expect(page.get_by_role("cell", name=name).first).to_be_visible()
    for name in AUTOENCODERS:
        metrics = json.loads((repository.path / f"data/metrics/train_{name}.json").read_text())
        for metric in ("test_bce", "probe_accuracy", "code_size"):
            expect(page.get_by_text(metric, exact=True).first).to_be_visible()
            shown = f"{round(metrics[metric], 3):g}"
            expect(page.get_by_text(shown, exact=True).first).to_be_visible()


def test_the_loss_is_drawn_epoch_by_epoch(page: Page) -> None:
    page.get_by_role("link", name="dense_ae", exact=True).click()
    page.get_by_role("tab", name="Model metrics").click()
    page.get_by_placeholder("Search metric charts").fill("^loss$")
    curve = page.locator(".js-plotly-plot .scatterlayer path.js-line")
    expect(curve.first).to_be_visible()
    points = [str(line.get_attribute("d")).count(",") for line in curve.all()]
    assert max(points) >= 3  # as many as epochs


def test_a_run_says_how_good_it_is_and_which_version_it_became(page: Page) -> None:
    page.get_by_role("link", name="classifier", exact=True).click()
    expect(page.get_by_text("test_accuracy 0.").first).to_be_visible()
    expect(page.get_by_text("python3 stages train_classifier").first).to_be_visible()
    expect(page.get_by_text("mnist-classifier").first).to_be_visible()


def test_pictures_of_two_autoencoders_stand_side_by_side(page: Page) -> None:
    found = quote("metrics.code_size > 0")
    page.goto(f"{page.url.partition('?')[0]}?compareRunsMode=CHART&searchFilter={found}")
    page.get_by_placeholder("Search metric charts").fill("^codes$")
    card = page.get_by_test_id("experiment-view-compare-runs-card").filter(has_text="codes").first
    card.get_by_role("button").nth(1).click()
    page.get_by_text("Configure").click()
    page.get_by_text("Show run parameters").click()
    page.get_by_role("button", name="Save changes").click()
    pictures = card.locator("img")
    expect(pictures).to_have_count(2)
    for picture in pictures.all():
        expect(picture).to_be_visible()
        assert picture.evaluate("picture => picture.naturalWidth") > 100
    for name in AUTOENCODERS:
        expect(card).to_contain_text(name)


def test_the_figures_are_visible(page: Page) -> None:
    page.get_by_role("link", name="visualize").click()
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("figures", exact=True).click()
    page.get_by_text("comparison.png").click()
    picture = page.get_by_alt_text("figures/comparison.png")
    expect(picture).to_be_visible()
    assert picture.evaluate("picture => picture.naturalWidth") > 500


def test_the_registered_model_has_its_champion(page: Page, ui: str) -> None:
    page.goto(f"{ui}/#/models/mnist-classifier")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="Version 1"))
    expect(row.get_by_text("champion")).to_be_visible()
    expect(row.get_by_text("test_accuracy").first).to_be_visible()
    expect(row.get_by_text("dvc.fingerprint")).to_be_visible()


@pytest.fixture(scope="module")
def report(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of other results than the last commit's, against it."""
    clone = copied(repository, tmp_path_factory.mktemp("report") / "clone")
    clone.edit_params(lambda text: text.replace("code_units: 100", "code_units: 50"))
    clone.dvc("repro")
    clone.python("-m", "pipeline", "report", "--against", "HEAD")
    return clone.path / "report.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_report_fits_a_desktop_and_a_phone(
    report: Path, browser: Browser, screenshots: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(report.as_uri())
    pictures = page.get_by_role("main").locator("img")
    assert pictures.count() >= len([*report.parent.glob("data/figures/**/*.png")])
    for picture in pictures.all():
        assert picture.evaluate("picture => picture.complete && picture.naturalWidth > 100")
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=screenshots / f"report-{width}-{scheme}.png", full_page=True)


def test_the_report_leads_to_what_changed(report: Path, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(report.as_uri())
    changed = page.get_by_role("region", name="What changed")
    row = changed.get_by_role("row").filter(has_text="train_dense_ae.code_units")
    expect(row.get_by_role("cell")).to_have_text(["100", "50"])
    changed.get_by_role("link", name="Dense ae: codes").click()
    figure = page.get_by_role("figure").filter(has_text="data/figures/dense_ae/codes.png")
    expect(figure).to_be_in_viewport()
    expect(figure.get_by_role("img")).to_have_count(2)
    page.get_by_role("group").filter(has_text="train_dense_ae").locator("summary").click()
    expect(page.get_by_role("rowheader", name="data/models/dense_ae.keras")).to_be_visible()
