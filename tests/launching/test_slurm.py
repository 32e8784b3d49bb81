"""Options of sbatch, and what is made of Slurm's answers."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from lfranker.launching import slurm, slurm_queue, slurm_task
from lfranker.launching.engine import End, SilentEngineError
from lfranker.launching.on_node import Ended, Work
from lfranker.launching.owners import gone
from lfranker.launching.slurm import SlurmEngine, minutes, parse_slurm
from lfranker.launching.slurm_queue import JobState, QueueError
from lfranker.launching.slurm_task import TERMINATED_WORDS, NoProgressError, SlurmTask


def test_options_are_those_of_sbatch() -> None:
    text = "partition=gpu,time=4:00:00,--mem_per_cpu=2G,exclude=n1,n2,cpus=4,memory=8G"
    assert parse_slurm(text) == {
        "partition": "gpu", "time": "4:00:00", "mem-per-cpu": "2G", "exclude": "n1,n2",
        "cpus-per-task": "4", "mem": "8G",
    }  # fmt: skip
    assert parse_slurm("") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpu", "allowed are options of sbatch"),
        ("array=0-3", "array is set by lfranker itself"),
        ("ntasks=2", "ntasks is set by lfranker itself"),
        ("nodes=2", "nodes is set by lfranker itself"),
        ("ntasks_per_node=2", "ntasks-per-node is set by lfranker itself"),
        ("clusters=two", "only the cluster of this machine is asked"),
        ("time=soon", "allowed are minutes"),
        ("time=0", "'0'; allowed are minutes, .*, and no time of 0"),
        ("time=0:0", "and no time of 0"),
        ("signal=USR1@60", "number of seconds before the time limit"),
    ],
)
def test_other_options_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_slurm(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90), ("90:30", 91), ("4:00:00", 240), ("0:00:10", 1), ("1-12", 36 * 60),
        ("2-00:30", 2 * 1440 + 30), ("1-01:01:40", 1440 + 62),
    ],
)  # fmt: skip
def test_time_limits_are_written_as_slurm_writes_them(text: str, expected: int) -> None:
    assert minutes(text) == expected


class Answers:
    """Slurm's programs, which answer as a dictionary says, by their names."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: Mapping[str, str]) -> None:
        self.answers, self.asked = dict(answers), list[list[str]]()
        monkeypatch.setattr(slurm_queue, "_asked", self)
        monkeypatch.setattr(slurm_queue, "_all", slurm_queue._All())
        monkeypatch.setattr(slurm_queue, "slurm_here", lambda: True)
        slurm_queue.cluster.cache_clear()

    def __call__(self, words: Sequence[str]) -> list[str]:
        self.asked.append(list(words))
        if words[0] not in self.answers:
            raise QueueError("away")
        return self.answers[words[0]].splitlines()


CONFIG = "ClusterName             = one\nMaxArraySize            = 1001\n"
QUEUE = "7_0|RUNNING|None\n7_1|NODE_FAIL|None\n8|PENDING|Priority\n9|FAILED|NonZeroExitCode\n"


def test_states_are_asked_of_the_queue_and_then_of_the_accounts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    accounts = "5|CANCELLED by 1000|None\n"
    answers = Answers(monkeypatch, {"squeue": QUEUE, "sacct": accounts})
    assert slurm_queue.states(["7_0", "9", "5", "6"]) == {
        "7_0": JobState("RUNNING"),
        "9": JobState("FAILED", "NonZeroExitCode"),
        "5": JobState("CANCELLED"),
        "6": JobState("UNKNOWN"),
    }
    assert answers.asked[1][-1] == "5,6"


def test_an_owner_is_gone_only_where_its_own_slurm_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers(monkeypatch, {"squeue": QUEUE, "scontrol": CONFIG})
    asked = [f"slurm:{job}@one" for job in ("7_0", "7_1", "8", "9", "123")]
    assert [gone(owner) for owner in asked] == [False, True, False, True, True]
    assert sum(words[0] == "squeue" for words in answers.asked) == 2, "all at once, and one missing"
    assert not gone("slurm:7_1@other"), "this Slurm does not know"
    Answers(monkeypatch, {"scontrol": CONFIG})
    assert not gone("slurm:7_1@one"), "no answer is no answer"
    monkeypatch.setattr(slurm_queue, "slurm_here", lambda: False)
    assert not gone("slurm:7_1@one")


def a_result(folder: Path, job: str, code: int) -> None:
    from submitit.core.utils import cloudpickle_dump

    cloudpickle_dump(("success", Ended(code, "step 7")), folder / f"{job}_0_result.pkl")


def test_the_end_of_a_job_is_told_by_what_it_left_or_by_slurm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    from submitit.core.utils import cloudpickle_dump

    Answers(monkeypatch, {"squeue": QUEUE + "7_2|OUT_OF_MEMORY|None\n7_3|COMPLETED|None\n"})
    engine = SlurmEngine({}, tmp_path, None)
    cloudpickle_dump(("success", Ended(0, "log")), tmp_path / "7_3_0_result.pkl")
    trace = "Traceback (most recent call last):\n  here\na.NoProgressError: TIMEOUT: no step"
    cloudpickle_dump(("error", trace), tmp_path / "7_4_0_result.pkl")
    owners = [f"slurm:7_{task}@one" for task in range(5)] + ["slurm:9@one"]
    done = {
        "slurm:7_3@one": End("COMPLETED", process=Ended(0, "log")),
        "slurm:7_4@one": End("TIMEOUT: no step"),
    }
    assert engine.ends(owners) == done, "files of the others may be on their way"
    monkeypatch.setattr(slurm, "SETTLES", -1.0)
    monkeypatch.setattr(slurm, "RESULT_SHOWS", -1.0)
    nothing = f"FAILED (NonZeroExitCode), without a word in {tmp_path}: do its nodes see it?"
    assert engine.ends(owners) == {
        **done,
        "slurm:7_1@one": End("NODE_FAIL", lost=True),
        "slurm:7_2@one": End("OUT_OF_MEMORY"),
        "slurm:9@one": End(nothing),
    }


def test_a_result_that_the_disk_does_not_show_yet_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    Answers(monkeypatch, {"squeue": "7_0|COMPLETED|None\n7_1|COMPLETED|None\n7_2|FAILED|None\n"})
    engine, owners = SlurmEngine({}, tmp_path, None), [f"slurm:7_{task}@one" for task in range(3)]
    monkeypatch.setattr(slurm, "SETTLES", -1.0)
    assert engine.ends(owners) == {}
    a_result(tmp_path, "7_0", 0)
    monkeypatch.setattr(slurm, "RESULT_SHOWS", -1.0)
    ends = engine.ends(owners[:2])
    assert ends == {
        "slurm:7_0@one": End("COMPLETED", process=Ended(0, "step 7")),
        "slurm:7_1@one": End(f"COMPLETED, but its result did not appear in {tmp_path}", lost=True),
    }


def test_results_of_cancelled_jobs_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    Answers(monkeypatch, {"squeue": "7_0|COMPLETED|None\n", "scancel": ""})
    engine, owner = SlurmEngine({}, tmp_path, None), "slurm:7_0@one"
    monkeypatch.setattr(slurm, "SETTLES", -1.0)
    assert engine.ends([owner]) == {}
    engine.cancel([owner])
    assert set(engine.ends([owner])) == {owner}


NO_MODULE = """Traceback (most recent call last):
  File "there", line 1, in <module>
ModuleNotFoundError: No module named 'lfranker'
"""
SRUN = "srun: error: n1: task 0: Exited with exit code"


@pytest.mark.parametrize(
    ("log", "why", "lost"),
    [
        (f"{NO_MODULE}{SRUN} 1\n", "ModuleNotFoundError: No module named 'lfranker'", False),
        (f"slurmstepd: error: execve(): /v/python: No such file\n{SRUN} 2\n",
         "slurmstepd: error: execve(): /v/python: No such file", False),
        (f"{TERMINATED_WORDS}\n{SRUN} 143\n", TERMINATED_WORDS, True),
        (f"{TERMINATED_WORDS}\n{SRUN} 143\n{NO_MODULE}{SRUN} 1\n",
         "ModuleNotFoundError: No module named 'lfranker'", False),
    ],
)  # fmt: skip
def test_a_job_that_fails_by_itself_says_why_in_its_log_and_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: str, why: str, lost: bool
) -> None:
    pytest.importorskip("submitit")
    Answers(monkeypatch, {"squeue": QUEUE})
    monkeypatch.setattr(slurm, "RESULT_SHOWS", -1.0)
    (tmp_path / "9_0_log.err").write_text(log)
    end = End(f"FAILED: {why}; its log is in {tmp_path}", lost)
    assert SlurmEngine({}, tmp_path, None).ends(["slurm:9@one"]) == {"slurm:9@one": end}


@pytest.mark.parametrize(
    ("array", "owner"), [("7", "slurm:7_2@one"), ("", "slurm:9@one")], ids=["array", "alone"]
)
def test_a_task_is_its_jobs_and_its_log_begins_with_those_of_earlier_times(
    monkeypatch: pytest.MonkeyPatch, array: str, owner: str
) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", array)
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    monkeypatch.setenv("SLURM_JOB_ID", "9")
    made, handlers = list[object](), list[object]()

    def run() -> Ended:
        handlers.append(signal.getsignal(signal.SIGTERM))
        return Ended(3, "now")

    def process(*words: object) -> SimpleNamespace:
        made.extend(words)
        return SimpleNamespace(run=run)

    monkeypatch.setattr(slurm_task, "NodeProcess", process)
    task = SlurmTask(Work("a", (), "", {}), "one", 90)
    task.log = "before\n"
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert task() == Ended(3, "before\nnow")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert made == [task.work, owner]
    assert handlers == [task._terminate]


def test_a_task_that_is_ended_by_sigterm_says_so_and_leaves_a_checkpoint(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Process:
        def stop(self, patience: float) -> None:
            stopped.append(patience)

    stopped = list[float]()
    task = SlurmTask(Work("a", (), "", {}), "one", 90)
    task._process = Process()  # type: ignore[assignment]
    with pytest.raises(SystemExit) as end:
        task._terminate(15, None)
    assert (end.value.code, stopped) == (143, [pytest.approx(63)])
    assert capsys.readouterr().err == f"{TERMINATED_WORDS}\n"


@pytest.mark.parametrize(("at_once", "each"), [(None, 2), (7, 2), (8, 2), (3, 1), (2, 1)])
def test_several_arrays_share_how_many_jobs_may_run_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int | None, each: int
) -> None:
    """Five jobs are arrays of 2, 2 and 1."""
    submitted = list[tuple[list[str], int]]()

    def submit(_: SlurmEngine, tasks: Sequence[SlurmTask], parallel: int) -> list[str]:
        submitted.append(([task.work.name for task in tasks], parallel))
        assert {task.warning for task in tasks} == {300}, "each knows when it is warned"
        return [f"{len(submitted)}_{at}" for at in range(len(tasks))]

    Answers(monkeypatch, {"scontrol": CONFIG.replace("1001", "2")})
    slurm_queue.largest_array.cache_clear()
    monkeypatch.setattr(SlurmEngine, "_submit", submit)
    work = [Work(name, (), "", {}) for name in "abcde"]
    owners = list(SlurmEngine({"signal": "300"}, tmp_path, at_once).submit(work))
    slurm_queue.largest_array.cache_clear()
    assert submitted == [(["a", "b"], each), (["c", "d"], each), (["e"], each)]
    assert owners[1:] == [["slurm:2_0@one", "slurm:2_1@one"], ["slurm:3_0@one"]]


def test_slurm_may_be_silent_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    now = [0.0]
    monkeypatch.setattr(slurm, "time", SimpleNamespace(monotonic=lambda: now[0]))
    answers = Answers(monkeypatch, {})
    engine = SlurmEngine({}, tmp_path, None)
    now[0] = 700
    assert engine.ends(["slurm:7_0@one"]) == {}, "it was not asked before"
    now[0] = 1299
    assert engine.ends(["slurm:7_0@one"]) == {}
    answers.answers["squeue"] = QUEUE
    assert engine.ends(["slurm:7_0@one"]) == {}
    answers.answers.clear()
    now[0] = 1400
    assert engine.ends(["slurm:7_0@one"]) == {}
    now[0] = 2001
    with pytest.raises(SilentEngineError, match="for 10 minutes: away; its jobs go on"):
        engine.ends(["slurm:7_0@one"])


@pytest.mark.parametrize(
    "words",
    [
        "PENDING|launch failed requeued held",
        "PENDING|launch_failed_requeued_held",
        "REQUEUE_HOLD|None",
        "SPECIAL_EXIT|None",
    ],
)
def test_a_job_that_slurm_holds_for_ever_has_ended_and_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    pytest.importorskip("submitit")
    queue = f"7_0|{words}\n7_1|PENDING|Priority\n"
    answers = Answers(monkeypatch, {"squeue": queue, "scontrol": CONFIG, "scancel": ""})
    monkeypatch.setattr(slurm, "SETTLES", -1.0)
    state = words.replace("|None", "").replace("|", " (") + ")" * ("None" not in words)
    owners = ["slurm:7_0@one", "slurm:7_1@one"]
    assert SlurmEngine({}, tmp_path, None).ends(owners) == {"slurm:7_0@one": End(state)}
    assert answers.asked[-1] == ["scancel", "--quiet", "7_0"]
    assert [gone(owner) for owner in owners] == [True, False], "the same command tries again"


def test_why_jobs_wait_is_known_where_all_of_them_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    queue = "7_0|PENDING|Priority\n7_1|PENDING|JobHeldUser\n7_2|PENDING|None\n"
    answers = Answers(monkeypatch, {"squeue": queue})
    engine, owners = SlurmEngine({}, tmp_path, None), [f"slurm:7_{task}@one" for task in range(3)]
    engine.ends(owners)
    assert engine.waits_for() == {"Priority", "JobHeldUser"}
    answers.answers["squeue"] = queue.replace("7_0|PENDING", "7_0|RUNNING")
    engine.ends(owners)
    assert engine.waits_for() == set()
    engine.ends(owners[1:])
    assert engine.waits_for() == {"JobHeldUser"}
    answers.answers.clear()
    engine.ends(owners[1:])
    assert engine.waits_for() == set(), "nobody knows"


def test_what_cancels_jobs_by_hand_is_said_with_what_slurm_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = Answers(monkeypatch, {"scancel": ""})
    engine, owners = SlurmEngine({}, tmp_path, None), ["slurm:7_0@one", "slurm:7_1@one", "slurm:9@"]
    assert engine.cancel(owners) == "scancel 7 9"
    assert answers.asked == [["scancel", "--quiet", "7_0", "7_1", "9"]]
    answers.answers.clear()
    assert engine.cancel(owners) == "scancel 7 9 (Slurm answered: away)"


def test_what_sbatch_refuses_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sbatch(words: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert "--partition=gpu" in words
        assert "--time=4:00:00" in words
        assert "--exclusive" in words
        return subprocess.CompletedProcess(words, 1, "", "sbatch: error: invalid partition: gpu\n")

    engine = SlurmEngine({"partition": "gpu", "signal": "30", "exclusive": "true"}, tmp_path, None)
    monkeypatch.setattr(slurm.subprocess, "run", sbatch)
    monkeypatch.setattr(slurm.shutil, "which", lambda _: "/usr/bin/sbatch")
    monkeypatch.setattr(slurm, "find_spec", lambda _: True)
    with pytest.raises(ValueError, match=r"^--slurm: invalid partition: gpu$"):
        engine.check()
    monkeypatch.setattr(slurm.shutil, "which", lambda _: None)
    with pytest.raises(ValueError, match="no sbatch"):
        engine.check()
    monkeypatch.setattr(slurm, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"pip install 'lfranker\[slurm\]'"):
        engine.check()


def script_of(folder: Path, monkeypatch: pytest.MonkeyPatch, options: Mapping[str, str]) -> str:
    """The script that sbatch gets for two tasks."""
    pytest.importorskip("submitit")
    from submitit import SlurmExecutor

    texts = list[str]()

    def submitted(executor: SlurmExecutor, command: str) -> SimpleNamespace:
        texts.append(executor._make_submission_file_text(command, "1"))
        return SimpleNamespace(job_id="7", num_tasks=1)

    Answers(monkeypatch, {"scontrol": CONFIG})
    slurm_queue.largest_array.cache_clear()
    monkeypatch.setattr(SlurmExecutor, "affinity", lambda *_: 2)
    monkeypatch.setattr(SlurmExecutor, "_submit_command", submitted)
    work = [Work(name, (), "", {}) for name in "ab"]
    (owners,) = SlurmEngine(options, folder, None).submit(work)
    assert owners == ["slurm:7_0@one", "slurm:7_1@one"]
    return texts[0]


def test_the_script_of_jobs_has_flags_and_values_as_sbatch_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "exclusive=true,partition=gpu,time=2:00:00,comment=for me,signal=300,job-name=mine"
    lines = script_of(tmp_path, monkeypatch, parse_slurm(text)).splitlines()
    own = {"--exclusive", "--partition=gpu", "--time=120", "--comment='for me'", "--requeue"}
    own |= {"--signal=USR2@300", "--job-name=mine"}
    assert {f"#SBATCH {words}" for words in own} <= set(lines)


def test_the_task_of_a_job_gets_all_its_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since Slurm 22.05, srun does not take over what sbatch was asked for."""
    with_four = script_of(tmp_path, monkeypatch, {"cpus-per-task": "4"})
    (srun,) = [line for line in with_four.splitlines() if line.startswith("srun")]
    assert " --cpus-per-task=4 " in srun
    assert "#SBATCH --cpus-per-task=4" in with_four
    assert "--cpus-per-task" not in script_of(tmp_path, monkeypatch, {})


def test_a_task_that_makes_no_step_is_not_requeued_for_ever() -> None:
    pytest.importorskip("submitit")

    class Process:
        def __init__(self, steps: int) -> None:
            self.stopped: list[float] = []
            self.steps, self.stop, self.log = lambda: steps, self.stopped.append, lambda: "said"

    task = SlurmTask(Work("a", (), "", {}), "one", 90)
    for steps in (5, 9, 0, 0, 0):
        task._process = process = Process(steps)  # type: ignore[assignment]
        task = task.checkpoint().function
        assert process.stopped == [pytest.approx(63)]
    assert task.log == "said\n" * 5
    task._process = Process(9)  # type: ignore[assignment]
    with pytest.raises(NoProgressError, match=r"TIMEOUT: no step within the time limit, 4 times"):
        task.checkpoint()


def test_jobs_know_nothing_of_the_job_that_they_were_submitted_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "3")
    monkeypatch.setenv("SLURM_CONF", "here")
    monkeypatch.setenv("PYTHONPATH", "before")
    with slurm._outside_of_jobs("within"):
        assert "SLURM_JOB_ID" not in os.environ
        assert (os.environ["SLURM_CONF"], os.environ["PYTHONPATH"]) == ("here", "within")
    assert (os.environ["SLURM_JOB_ID"], os.environ["PYTHONPATH"]) == ("3", "before")


def test_a_killed_training_was_out_of_memory_where_slurm_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wrapper lives on and leaves a result; what Slurm says of it comes seconds later."""
    pytest.importorskip("submitit")
    answers = Answers(monkeypatch, {"squeue": "7_0|RUNNING|None\n7_1|RUNNING|None\n"})
    engine = SlurmEngine({}, tmp_path, None)
    jobs = [f"7_{task}" for task in range(4)]
    for job in jobs:
        a_result(tmp_path, job, -9)
    owners = [f"slurm:{job}@one" for job in jobs]
    assert engine.ends(owners) == {}
    answers.answers["squeue"] = "7_0|OUT_OF_MEMORY|None\n7_1|COMPLETED|None\n"
    slurmstepd = "slurmstepd: error: Detected 1 oom_kill event in StepId=7.0. Some of"
    (tmp_path / "7_2_0_log.err").write_text(f"{slurmstepd} the step tasks have been OOM Killed.\n")
    older = "slurmstepd: error: StepId=7.3 exceeded memory limit (9000 > 8000), being killed\n"
    (tmp_path / "7_3_0_log.err").write_text(older)
    expected = {f"slurm:7_{task}@one": End("OUT_OF_MEMORY") for task in (0, 2, 3)}
    assert engine.ends(owners) == expected, "7_2 and 7_3 by the logs of their steps"
    monkeypatch.setattr(slurm, "SETTLES", -1.0)
    killed = End("COMPLETED", process=Ended(-9, "step 7"))
    assert engine.ends(owners) == {**expected, "slurm:7_1@one": killed}


def test_a_killed_training_was_killed_where_slurm_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    Answers(monkeypatch, {})
    engine = SlurmEngine({}, tmp_path, None)
    a_result(tmp_path, "7_0", -9)
    assert engine.ends(["slurm:7_0@one"]) == {}
    monkeypatch.setattr(slurm, "SETTLES", -1.0)
    killed = End("COMPLETED", process=Ended(-9, "step 7"))
    assert engine.ends(["slurm:7_0@one"]) == {"slurm:7_0@one": killed}
