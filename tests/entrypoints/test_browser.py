"""What a user sees of a ranking in MLflow's pages, in a real browser."""

import re
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

import pytest
from guarded_server import serving
from project import Project
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from lfranker.evaluation.criteria import NOISY
from lfranker.tracking.pages import page, page_of
from lfranker.tracking.power_set import load_power_set
from lfranker.tracking.runs import tracked
from lfranker.tracking.tags import Tag

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 120  # s: the first page of a server that has just started takes long
FLAGS = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
    --disable-background-networking --disable-component-update --disable-dev-shm-usage
    --window-size=1600,1200
"""

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("its_store")]


@pytest.fixture(scope="module")
def address(project: Project) -> Iterator[str]:
    """Yield the address of a real `mlflow server` over the store of the power set."""
    with serving(project.folder, project.uri) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Yield a browser, which takes long to start."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip(f"one of {', '.join(BROWSERS)} and chromedriver are needed on the path")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    found = webdriver.Chrome(options, Service(driver))
    try:
        yield found
    finally:
        found.quit()


@pytest.fixture
def browser(chrome: webdriver.Chrome) -> webdriver.Chrome:
    """Return the browser with one empty window."""
    first, *others = chrome.window_handles
    for window in others:
        chrome.switch_to.window(window)
        chrome.close()
    chrome.switch_to.window(first)
    chrome.get("about:blank")
    chrome.delete_all_cookies()
    return chrome


def wait_for(find: Callable[[], Any], subject: object) -> Any:
    """Return what is found as soon as it is true; fail after PATIENCE."""
    return WebDriverWait(subject, PATIENCE).until(lambda _: find())


def seen(browser: webdriver.Chrome) -> str:
    return browser.find_element(By.TAG_NAME, "body").text


def open_note(browser: webdriver.Chrome, address: str, project: Project) -> None:
    """The page of the power set, its note unfolded."""
    browser.get(f"{address}/{page_of(tracked(project.parent()))}")
    more = "//button[normalize-space()='Show more'] | //*[text()='Show more']"
    wait_for(lambda: browser.find_elements(By.XPATH, more), browser)[0].click()


def follow(browser: webdriver.Chrome, words: str) -> None:
    """Click on a link that opens a page of its own, and go there."""
    before = set(browser.window_handles)
    links = wait_for(lambda: browser.find_elements(By.LINK_TEXT, words), browser)
    links[0].click()
    (opened,) = wait_for(lambda: set(browser.window_handles) - before, browser)
    browser.switch_to.window(opened)


NO_ADVICE = "No advice yet, the networks are too small or too briefly trained"


def best(champion: str) -> str:
    return f"of 3 loss subsets, {champion} has the best mean rank"


def test_the_note_answers_and_leads_to_the_champion(
    browser: webdriver.Chrome, address: str, project: Project
) -> None:
    champion = project.parent().data.tags[Tag.CHAMPION]
    open_note(browser, address, project)
    assert f"{NO_ADVICE}: {best(champion)}" in seen(browser)
    assert "demonstrates the machinery" in seen(browser)
    table = browser.find_element(By.XPATH, "//table[.//th[text()='Mean rank']]")
    assert champion in table.find_element(By.XPATH, ".//tbody/tr[1]").text
    assert f"{NOISY} (baseline)" in table.text
    assert table.size["width"] <= table.find_element(By.XPATH, "..").size["width"], "cut off"
    follow(browser, champion)
    run_id = project.children()[champion].info.run_id
    wait_for(lambda: "Parent run" in seen(browser), browser)
    assert run_id in browser.current_url
    assert run_id in seen(browser)


def test_the_note_leads_to_the_report_which_is_rendered(
    browser: webdriver.Chrome, address: str, project: Project
) -> None:
    champion = project.parent().data.tags[Tag.CHAMPION]
    open_note(browser, address, project)
    follow(browser, "The whole report")
    frames = wait_for(lambda: browser.find_elements(By.TAG_NAME, "iframe"), browser)
    browser.switch_to.frame(frames[0])
    answer = wait_for(lambda: browser.find_elements(By.CLASS_NAME, "answer"), browser)[0]
    assert answer.is_displayed()
    assert answer.text.startswith(f"{NO_ADVICE}: {best(champion)}")
    headings = [item.text for item in browser.find_elements(By.TAG_NAME, "h2")]
    assert headings[0] == "Leaderboard"
    assert "What was run?" in headings
    opened = "return [...document.querySelectorAll('details')].map(one => one.open)"
    assert not any(browser.execute_script(opened)), "what is not asked for is not folded away"
    browser.execute_script("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert all(browser.execute_script(opened))
    plots = browser.find_elements(By.TAG_NAME, "svg")
    assert plots, "no plot"
    assert all(plot.size["width"] > 200 and plot.size["height"] > 50 for plot in plots)
    widths = "return [...document.images].map(image => image.naturalWidth)"
    assert browser.execute_script(widths), "no picture"
    assert all(width > 0 for width in browser.execute_script(widths)), "a picture is not shown"
    sideways = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(sideways) == 0


def test_the_note_leads_to_the_runs_compared_best_first(
    browser: webdriver.Chrome, address: str, project: Project
) -> None:
    champion = project.parent().data.tags[Tag.CHAMPION]
    open_note(browser, address, project)
    follow(browser, "The runs compared")
    wait_for(lambda: "3 matching runs" in seen(browser), browser)
    names = [item.text for item in browser.find_elements(By.XPATH, "//a[contains(@href,'/runs/')]")]
    entrants = [name for name in names if name in project.children()]
    assert entrants[0] == champion
    assert len(entrants) == 3
    assert "psnr" in seen(browser)
    assert project.parent().data.tags[Tag.POWERSET] in unquote(browser.current_url)
    assert "workflowType=machine_learning" in browser.current_url


def test_the_charts_of_the_runs_begin_with_what_decides_and_the_pictures(
    browser: webdriver.Chrome, address: str, project: Project
) -> None:
    """All runs are shown on the same field."""
    open_note(browser, address, project)
    follow(browser, "The runs compared")
    wait_for(lambda: "unranked/frc" in seen(browser), browser)
    lines = [line.strip() for line in seen(browser).splitlines()]
    wanted = ["mean over scan speeds", "the scans denoised", "psnr", "unranked/frc"]
    headings = [line for line, after in pairwise(lines) if re.fullmatch(r"\(\d+\)", after)]
    assert [line for line in headings if line in wanted] == wanted
    assert headings[0] == wanted[0]
    (pictures,) = browser.find_elements(By.XPATH, f"//*[text()='{wanted[1]}']")
    browser.execute_script("arguments[0].scrollIntoView()", pictures)
    shown = """return [...document.images].filter(image => image.naturalWidth > 0)
        .map(image => image.src).filter(src => src.includes('the%20scans%20denoised'))"""
    wait_for(lambda: len(browser.execute_script(shown)) >= 3, browser)
    keys = [
        unquote(src).partition("+")[0].rpartition("/")[2] for src in browser.execute_script(shown)
    ]
    runs = {src.rpartition("run_uuid=")[2] for src in browser.execute_script(shown)}
    assert keys[0] == keys[1] == keys[2]
    assert {run.info.run_id for run in project.children().values()} <= runs


def test_the_table_of_the_runs_has_the_losses_and_what_decides(
    browser: webdriver.Chrome, address: str, project: Project
) -> None:
    open_note(browser, address, project)
    follow(browser, "The runs in a table")
    wait_for(lambda: "3 matching runs" in seen(browser), browser)
    cells = browser.find_elements(By.XPATH, "//*[@role='columnheader']")
    headings = {cell.text.strip() for cell in cells}
    assert {"mean_rank", "psnr", "ssim", "repeatability", "losses"} <= headings
    assert not {"Dataset", "Source"} & headings


def test_the_page_of_a_model_shows_its_scores_and_what_they_were_measured_on(
    browser: webdriver.Chrome, address: str, project: Project
) -> None:
    training = load_power_set().trainings[project.parent().data.tags[Tag.CHAMPION], 0]
    models = f"experiments/{training.experiment_id}/models/{training.model}"
    browser.get(f"{address}/{page(models)}")
    scans = f"simulated scans (#{training.first_scans[:32]})"
    wait_for(lambda: scans in seen(browser), browser)
    rows = browser.find_elements(By.XPATH, "//*[@role='row']")
    (psnr,) = [row.text.split("\n") for row in rows if row.text.startswith("psnr\n")]
    assert psnr[1].startswith("simulated scans")
    assert float(psnr[-1]) == training.metrics["psnr"]
    assert training.losses in seen(browser)
