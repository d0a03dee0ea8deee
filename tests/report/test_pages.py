from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from nen_imaging.report.facts import rounded
from nen_imaging.report.figures import course_figure
from nen_imaging.report.pages import (
    MOST_PICTURE_BYTES,
    ReportContent,
    picture_uri,
    render_report,
    render_staging_page,
)
from nen_imaging.report.staging import StagingResult
from nen_imaging.report.table import build_table
from tests.report.fake_results import PATIENT, load_json, picture, timeline

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'{{ 7*7 }}"


class Tags(HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def content(stagings=(), course=None, **changes) -> ReportContent:
    course = course or {}
    given = {
        "patient": PATIENT,
        "stagings": stagings,
        "rows": build_table(stagings, course, {}),
        "responses": [],
        "events": [],
        "registration": [],
        "criterion": "load",
        "figure": course_figure(stagings, course),
    }
    return ReportContent(**(given | changes))


def hostile_timeline():
    course = timeline()
    for table in ("therapies", "findings", "markers"):
        for row in course[table]:
            row |= {
                key: HOSTILE for key in row if key in ("agent", "note", "finding", "status", "organ", "marker", "unit")
            }
    return course


def test_text_of_others_never_becomes_markup():
    lesion = {"lesion": HOSTILE, "volume_ml": "1", "measurable": HOSTILE}
    staging = StagingResult("2018-09-11", load=load_json(40, bands=[HOSTILE]), lesions=(lesion,))
    response = {"staging": "2018-09-11", "criterion": HOSTILE, "reason": HOSTILE}
    registration = [{"staging": HOSTILE, "reason": HOSTILE}]
    pages = [
        render_report(content([staging], hostile_timeline(), responses=[response], registration=registration)),
        render_staging_page(HOSTILE, build_table([staging], hostile_timeline(), {})),
    ]
    for page in pages:
        tags = Tags(page).found
        assert not [tag for tag, _ in tags if tag == "script"]
        assert not [attributes for _, attributes in tags if any(name.startswith("on") for name in attributes)]
        assert "&lt;script&gt;" in page and "{{ 7*7 }}" in page


def test_page_needs_nothing_from_elsewhere():
    page = render_report(content([StagingResult("2018-09-11", load=load_json(40))], timeline()))
    for tag, attributes in Tags(page).found:
        assert tag not in ("script", "link", "iframe", "object")
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/")) or tag == "a", (tag, attributes)
    assert not re.search(r"url\((?!#)|@import", page)


@pytest.mark.parametrize(
    "load", [None, {}, {"load_percent": 12.0}, {"load_percent": None, "bands": []}, load_json(0.0)]
)
def test_whatever_is_missing_is_left_out(load):
    page = render_report(content([StagingResult("2018-09-11", load=load), StagingResult("undated-ABCDEF")]))
    assert "None" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)
    assert "undated-ABCDEF" in page


def test_no_staging_at_all_gives_a_page():
    assert "0 stagings" in render_report(content())


def test_a_page_is_the_same_again():
    staging = StagingResult("2018-09-11", load=load_json(40))
    assert render_report(content([staging], timeline())) == render_report(content([staging], timeline()))


def test_only_the_largest_lesions_are_listed_and_the_page_says_so():
    lesions = tuple({"lesion": str(n), "volume_ml": str(n)} for n in range(1, 51))
    page = render_report(content([StagingResult("2018-09-11", load=load_json(40), lesions=lesions)]))
    assert "Lesions (50; the 30 largest)" in page


def test_a_large_picture_is_made_small_enough(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (1200, 2000, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "qc.png")
    uri = picture_uri(tmp_path / "qc.png")
    assert uri and len(uri) <= MOST_PICTURE_BYTES + 50
    assert Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).width >= 300


def test_a_missing_or_broken_picture_is_left_out(tmp_path):
    assert picture_uri(tmp_path / "qc.png") is None
    (tmp_path / "qc.png").write_bytes(b"no picture")
    assert picture_uri(tmp_path / "qc.png") is None
    (tmp_path / "qc.png").write_bytes(picture()[:60])
    assert picture_uri(tmp_path / "qc.png") is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("1234.56", "1235"),
        ("12.345", "12.3"),
        (0.01234, "0.0123"),
        ("3", "3"),
        ("yes", "yes"),
        ("", ""),
        ("nan", "nan"),
    ],
)
def test_rounded(value, shown):
    assert rounded(value) == shown
