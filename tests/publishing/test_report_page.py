"""Facts on the page of a ranking."""

from pathlib import Path

from mlflow import MlflowClient
from tracked import make_child, make_parent

from lfranker.publishing.ranking_run import rank_power_set


def test_the_page_says_how_long_all_trainings_took(store: Path) -> None:
    parent, client = make_parent("mae"), MlflowClient()
    for repeat, hours in enumerate((1.5, 0.75)):
        run = make_child(parent, "mae", {"psnr": 20.0, "ssim": 0.5}, repeat=str(repeat))
        end = run.info.start_time + round(3_600_000 * hours)
        client.set_terminated(run.info.run_id, end_time=end)
    rank_power_set(parent.info.run_id, "lfranker")
    path = client.download_artifacts(parent.info.run_id, "ranking/ranking.html")
    _, _, after = Path(path).read_text().partition("hours of training and scoring, all together")
    assert "2.25" in after[:60]
