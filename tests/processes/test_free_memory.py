"""Memory that is free for a process."""

from pathlib import Path

import pytest

from lfranker.processes.free_memory import free_memory


def test_free_memory_is_what_the_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    1234 kB\n")
    monkeypatch.setattr("lfranker.processes.free_memory.MEMINFO", tmp_path / "meminfo")
    assert free_memory() == 1234 * 1024
    monkeypatch.setattr("lfranker.processes.free_memory.MEMINFO", tmp_path / "none")
    assert (free_memory() or 10**9) > 10**6


@pytest.mark.parametrize(
    ("own", "folder", "names", "cached"),
    [
        ("0::/", "", ("max", "current"), "inactive_file"),
        ("0::/slurm/job_7/step_0", "slurm/job_7", ("max", "current"), "inactive_file"),
        (
            "5:cpu:/a\n4:memory:/docker/b",
            "memory",
            ("limit_in_bytes", "usage_in_bytes"),
            "total_inactive_file",
        ),
    ],
)
def test_a_limit_on_the_group_of_processes_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, folder: str,
    names: tuple[str, str], cached: str,
):  # fmt: skip
    group = tmp_path / "groups" / folder
    group.mkdir(parents=True)
    (tmp_path / "own").write_text(f"{own}\n")
    (tmp_path / "meminfo").write_text("MemAvailable: 4000 kB\n")
    for file, value in zip(names, ("1000000\n", "700000\n"), strict=True):
        (group / f"memory.{file}").write_text(value)
    (group / "memory.stat").write_text(f"anon 1\n{cached} 100000\nother 5\n")
    monkeypatch.setattr("lfranker.processes.free_memory.MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr("lfranker.processes.free_memory.OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr("lfranker.processes.free_memory.GROUPS", tmp_path / "groups")
    assert free_memory() == 400_000
    (group / f"memory.{names[0]}").write_text("600000")
    assert free_memory() == 0, "more is used than allowed"
    (group / f"memory.{names[0]}").write_text("max")
    assert free_memory() == 4000 * 1024
