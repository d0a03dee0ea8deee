"""With `date_shift_days` a whole run writes no true date: not in a result, nor a log, nor Snakemake's records."""

from __future__ import annotations

import csv
import datetime as dt
import re
import shutil
from pathlib import Path

import pytest

from tests.end_to_end.driver import Case
from tests.end_to_end.study import write_small_study
from tests.leaks import leaks
from tests.planted import PLANTED

# 2021-01-12, 20210112, 2021-01, 12.01.2021, 01/2021; but no digits within a number or a checksum
TRUE_MONTH = re.compile(rb"(?<![\da-f.])2021[-./]?(0[1-9]|1[0-2])|(?<![\da-f.])(0[1-9]|1[0-2])[-./]2021")


@pytest.mark.slow
def test_no_true_date_is_found_and_intervals_stay(tmp_path: Path) -> None:
    small_study = write_small_study(tmp_path / "case")
    shutil.rmtree(small_study.study / "Zqfamily old exports")  # one patient is enough
    case = Case.at(tmp_path / "case", tmp_path / "home")
    config = tmp_path / "config.yaml"
    config.write_text("staging:\n  date_shift_days: 3000\n")
    done = case.run("--config", str(config))
    assert done.code == 0, done.text
    assert leaks(case.results, [TRUE_MONTH, *PLANTED], leave_out=["files.sqlite"]) == []
    assert not TRUE_MONTH.search(done.text.replace(str(tmp_path), "").encode())
    with (case.results / "index" / "stagings.csv").open(newline="") as file:
        first, second = sorted(dt.date.fromisoformat(row["staging"]) for row in csv.DictReader(file))
    assert second - first == dt.date(2021, 7, 20) - dt.date(2021, 1, 12)
    (table,) = case.results.glob("patients/*/report/staging.csv")
    text = table.read_text("utf-8")
    assert "Everolimus" in text
    therapy = dt.date(2021, 1, 20) - dt.date(2021, 1, 12) + first
    assert therapy.isoformat() in text
    again = case.run("--config", str(config))
    assert (again.code, sum(again.jobs.values())) == (0, 0)
    assert "date_shift_days" in case.run().text  # another shift is refused
