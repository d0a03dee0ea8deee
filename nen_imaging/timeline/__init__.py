"""What a person knows and an image does not: the timeline folder, validated and split by patient and staging."""

from nen_imaging.timeline.read import Timeline, TimelineError, read_timeline
from nen_imaging.timeline.split import split_timeline

__all__ = ["Timeline", "TimelineError", "read_timeline", "split_timeline"]
