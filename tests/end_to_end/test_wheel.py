"""The wheel works away from the clone: it brings its own bundle, Snakefile, configuration and profiles."""

import os
import site
import subprocess
import sys
from pathlib import Path

import pytest

from nen_imaging.volume import write_nifti
from tests.end_to_end.study import PLANS, write_small_study

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def small_study(tmp_path_factory):
    return write_small_study(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The command of a new environment that holds the wheel; the libraries are those of this one."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(REPOSITORY)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)], check=True)
    packages = Path(
        subprocess.run(
            [python, "-c", "import site; print(site.getsitepackages()[0])"], check=True, capture_output=True, text=True
        ).stdout.strip()
    )
    # A path in a .pth file is searched, but .pth files there are not read: the clone itself stays out of reach.
    (packages / "libraries.pth").write_text("\n".join(site.getsitepackages()), "utf-8")
    return folder / "venv" / "bin" / "nen-imaging"


def call(command, *arguments, cwd):
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PATH")}
    environment |= {"HOME": str(cwd), "PATH": f"{command.parent}:/usr/bin:/bin"}
    done = subprocess.run(
        [command, *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_the_installed_package_is_the_wheels(installed, tmp_path):
    done = subprocess.run(
        [installed.parent / "python", "-c", "import nen_imaging; print(nen_imaging.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()).is_relative_to(installed.parent.parent)


def test_segment_measures_an_image(installed, small_study, tmp_path):
    plan = PLANS[0]
    scanned = next(small_study.stagings[plan.tags.patient_id, date] for date in plan.loads_percent)
    write_nifti(tmp_path / "ct.nii.gz", scanned.ct)
    code, text = call(installed, "segment", "ct.nii.gz", "--out", "measured", cwd=tmp_path)
    assert code == 0, text
    assert "hepatic tumour load" in text
    assert {path.name for path in (tmp_path / "measured").iterdir()} == {
        "liver.nii.gz",
        "load.json",
        "lesions.csv",
        "qc.png",
    }


def test_a_dry_run_plans_every_stage(installed, small_study, tmp_path):
    code, text = call(installed, "run", small_study.study, "--results", "results", "--dry-run", cwd=tmp_path)
    assert code == 0, text
    assert all(rule in text for rule in ("import_ct", "import_pet", "segment", "measure", "uptake", "follow", "report"))
    assert not list((tmp_path / "results").rglob("stage.json"))
