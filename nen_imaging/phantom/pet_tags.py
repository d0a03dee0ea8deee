"""What the headers of a PET say of the scan: the PET Series, Isotope and Image modules (DICOM PS3.3 C.8.9)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from pydicom import Dataset, Sequence

from nen_imaging.phantom.dicom_values import code, da, ds, tm
from nen_imaging.phantom.radiotracer import Injection

PetUnits = Literal["BQML", "GML", "CNTS"]
DecayCorrection = Literal["START", "ADMIN", "NONE"]


@dataclass(frozen=True)
class PetScan:
    """One PET scan: what was injected, when its first bed began, how its values are stored."""

    injection: Injection
    units: PetUnits
    decay_correction: DecayCorrection
    weight_kg: float
    start: dt.datetime
    frame_duration_s: float
    slices: int

    def add_series_tags(self, image: Dataset) -> None:
        """What all images of the series share; with the units CNTS also Philips' private factors."""
        image.ImageType = ["ORIGINAL", "PRIMARY"]
        image.Units, image.CountsSource, image.DecayCorrection = self.units, "EMISSION", self.decay_correction
        image.SeriesType, image.NumberOfSlices = ["WHOLE BODY", "IMAGE"], self.slices
        decay = [] if self.decay_correction == "NONE" else ["DECY"]
        image.CorrectedImage = ["ATTN", "SCAT", "NORM", "DTIM", "RAN", *decay]
        image.AttenuationCorrectionMethod, image.ScatterCorrectionMethod = "CT", "Model"
        image.RandomsCorrectionMethod, image.ReconstructionMethod = "DLYD", "OSEM"
        image.CollimatorType, image.BodyPartExamined = "NONE", "ABDOMEN"
        image.RadiopharmaceuticalInformationSequence = Sequence([self._radiopharmaceutical()])
        image.PatientOrientationCodeSequence = Sequence([code("102538003", "SCT", "recumbent")])
        image.PatientOrientationCodeSequence[0].PatientOrientationModifierCodeSequence = Sequence(
            [code("40199007", "SCT", "supine")]
        )
        image.PatientGantryRelationshipCodeSequence = Sequence([code("102540008", "SCT", "headfirst")])
        if self.units == "CNTS":
            block = image.private_block(0x7053, "Philips PET Private Group", create=True)
            block.add_new(0x00, "DS", ds(self.injection.philips_suv_factor(self.weight_kg)))
            block.add_new(0x09, "DS", ds(self.injection.philips_activity_factor))

    def add_image_tags(self, image: Dataset, k: int, bed_start_s: float) -> None:
        """What is image `k`'s own; `bed_start_s` is its bed's delay after the scan's start."""
        acquired = self.start + dt.timedelta(seconds=bed_start_s)
        reference_s = bed_start_s + self.injection.mean_activity_time_s(self.frame_duration_s)
        image.AcquisitionDate, image.AcquisitionTime = da(acquired.date()), tm(acquired.time())
        image.FrameReferenceTime = ds(reference_s * 1000)
        image.ActualFrameDuration, image.ImageIndex = round(self.frame_duration_s * 1000), k + 1
        if self.decay_correction != "NONE":
            since_s = reference_s + (self.injection.uptake_s if self.decay_correction == "ADMIN" else 0.0)
            image.DecayFactor = ds(1 / float(self.injection.remaining(since_s)))

    def _radiopharmaceutical(self) -> Dataset:
        injected = self.start - dt.timedelta(seconds=self.injection.uptake_s)
        item = Dataset()
        item.Radiopharmaceutical = self.injection.radiopharmaceutical
        item.RadiopharmaceuticalStartTime = tm(injected.time())
        item.RadiopharmaceuticalStartDateTime = injected.strftime("%Y%m%d%H%M%S.%f")
        item.RadionuclideTotalDose = ds(self.injection.dose_bq)
        item.RadionuclideHalfLife = ds(self.injection.half_life_s)
        item.RadionuclidePositronFraction = ds(self.injection.positron_fraction)
        item.RadionuclideCodeSequence = Sequence([code(*self.injection.nuclide_code)])
        return item
