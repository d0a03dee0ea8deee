"""One small labelled body, laid out on disk as each data set distributes its cases."""

from __future__ import annotations

import shutil
import zipfile

import nibabel
import numpy as np
from PIL import Image
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.pixels import pack_bits
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage, generate_uid

from nen_imaging.phantom.dicom_writer import write_ct_series
from nen_imaging.volume import Volume, write_nifti

SHAPE = (44, 34, 26)
LPS_AFFINE = np.array([[-7.43, 0, 0, 160.0], [0, -7.43, 0, 120.0], [0, 0, 5.9, -310.0], [0, 0, 0, 1.0]])


def body():
    """CT and truth, axes LPS: an oval trunk with a spine, lungs on top, a liver on the right, one lesion in it."""
    i, j, k = np.indices(SHAPE)
    x, y = (i - 21.5) / 20, (j - 16.5) / 14  # to the left, to the back
    trunk = x**2 + y**2 < 1
    hu = np.where(trunk, 30, -1000)
    lungs = ((np.abs(x) - 0.45) ** 2 / 0.12 + y**2 / 0.3 < 1) & (k > 18)
    hu[lungs] = -800
    hu[(x**2 + (y - 0.7) ** 2 < 0.02)] = 500
    liver = ((x + 0.4) ** 2 / 0.22 + (y + 0.1) ** 2 / 0.35 < 1) & (k > 4) & (k < 17)
    lesion = (i - 13) ** 2 + (j - 15) ** 2 + (k - 10) ** 2 < 9
    hu[liver] = 110
    hu[lesion] = 60
    truth = np.where(lesion, 2, liver).astype(np.uint8)
    return Volume(hu.astype(np.int16), LPS_AFFINE.copy()), Volume(truth, LPS_AFFINE.copy())


def as_lits(root, number, ct, truth, *, folder="Training Batch 1", identity=False, codes="LAS"):
    """A pair of LiTS; ``identity`` loses the affine and keeps the spacing in the header alone."""
    (root / folder).mkdir(parents=True, exist_ok=True)
    for name, volume in (("volume", ct), ("segmentation", truth)):
        volume = volume.oriented(codes)
        path = root / folder / f"{name}-{number}.nii"
        write_nifti(path, volume)
        if identity:
            image = nibabel.Nifti1Image(volume.array, np.eye(4))
            image.header.set_zooms(volume.spacing_mm)
            image.header["qform_code"], image.header["sform_code"] = 0, 1
            image.header["srow_x"], image.header["srow_y"], image.header["srow_z"] = np.eye(4)[:3]
            image.to_filename(path)


def as_msd(root, number, ct, truth, *, codes="RAS", ending=".nii.gz"):
    for folder, volume in (("imagesTr", ct), ("labelsTr", truth)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        write_nifti(root / folder / f"liver_{number}{ending}", volume.oriented(codes))


def as_ircadb(root, number, ct, truth, *, packed=False):
    case = root / f"3Dircadb1.{number}"
    write_ct_series(case / "PATIENT_DICOM", ct)
    for name, mask in (("liver", truth.array > 0), ("livertumor1", truth.array == 2)):
        masks = truth.with_array(np.where(mask, 255, 0).astype(np.int16))
        write_ct_series(case / "MASKS_DICOM" / name, masks, rescale=(1.0, 0.0))
    if packed:
        for name in ("PATIENT_DICOM", "MASKS_DICOM"):
            shutil.make_archive(case / name, "zip", case, name)
            shutil.rmtree(case / name)
        shutil.make_archive(root / case.name, "zip", root, case.name)
        shutil.rmtree(case)


def as_chaos(root, number, ct, truth):
    case = root / str(number)
    files = write_ct_series(case / "DICOM_anon", ct)
    (case / "Ground").mkdir()
    order = sorted(range(len(files)), key=lambda k: files[k].name)
    for place, k in enumerate(order):
        pixels = np.where(truth.array[:, :, k] > 0, 255, 0).astype(np.uint8)
        Image.fromarray(pixels.T).save(case / "Ground" / f"liver_GT_{place:03d}.png")


def as_totalsegmentator(root, number, ct, truth):
    case = root / f"s{number:04d}"
    (case / "segmentations").mkdir(parents=True)
    write_nifti(case / "ct.nii.gz", ct)
    write_nifti(case / "segmentations" / "liver.nii.gz", truth.with_array((truth.array > 0).astype(np.uint8)))


def as_tcia(root, name, ct, truth, *, segments=("Liver", "Mass", "Portal vein")):
    """CT and SEG in folders named as TCIA names them; a second CT series is a decoy."""
    case = root / name / "1.3.6.1"
    files = write_ct_series(case / "1-CT", ct)
    write_ct_series(case / "2-CT", ct.with_array(ct.array // 2), series_description="other phase", series_number=7)
    masks = {"Liver": truth.array > 0, "Mass": truth.array == 2, "Portal vein": truth.array == 1}
    (case / "300-SEG").mkdir()
    seg = seg_of(files, {label: masks[label] for label in segments})
    seg.save_as(case / "300-SEG" / "1-1.dcm", enforce_file_format=True)


def seg_of(files, masks):
    """A BINARY SEG that refers to CT files, with frames only where a segment has voxels."""
    headers = [dcmread(file, stop_before_pixels=True) for file in files]
    seg = Dataset()
    seg.SOPClassUID, seg.SOPInstanceUID = SegmentationStorage, generate_uid()
    seg.Modality, seg.SeriesInstanceUID, seg.SegmentationType = "SEG", generate_uid(), "BINARY"
    seg.Rows, seg.Columns = headers[0].Rows, headers[0].Columns
    seg.SamplesPerPixel, seg.PhotometricInterpretation, seg.PixelRepresentation = 1, "MONOCHROME2", 0
    seg.BitsAllocated = seg.BitsStored = 1
    seg.HighBit = 0
    reference = Dataset()
    reference.SeriesInstanceUID = headers[0].SeriesInstanceUID
    seg.ReferencedSeriesSequence = Sequence([reference])
    seg.SegmentSequence = Sequence([_item(SegmentNumber=n, SegmentLabel=name) for n, name in enumerate(masks, start=1)])
    shared = Dataset()
    shared.PlaneOrientationSequence = Sequence([_item(ImageOrientationPatient=headers[0].ImageOrientationPatient)])
    shared.PixelMeasuresSequence = Sequence([_item(PixelSpacing=headers[0].PixelSpacing)])
    seg.SharedFunctionalGroupsSequence = Sequence([shared])
    frames, groups = [], []
    for number, mask in enumerate(masks.values(), start=1):
        for k, header in enumerate(headers):
            if mask[:, :, k].any():
                group = Dataset()
                group.SegmentIdentificationSequence = Sequence([_item(ReferencedSegmentNumber=number)])
                group.PlanePositionSequence = Sequence([_item(ImagePositionPatient=header.ImagePositionPatient)])
                groups.append(group)
                frames.append(mask[:, :, k].T)
    seg.PerFrameFunctionalGroupsSequence = Sequence(groups)
    seg.NumberOfFrames = len(frames)
    seg.PixelData = pack_bits(np.stack(frames).astype(np.uint8).ravel(), pad=True)
    seg["PixelData"].VR = "OB"
    seg.file_meta = FileMetaDataset()
    seg.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    seg.file_meta.MediaStorageSOPClassUID, seg.file_meta.MediaStorageSOPInstanceUID = (
        SegmentationStorage,
        seg.SOPInstanceUID,
    )
    return seg


def _item(**values):
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def pack_whole(root, name):
    """All cases of a folder in one zip archive, as 3D-IRCADb-01 also comes."""
    packed = sorted(root.glob("3Dircadb1.*.zip"))
    with zipfile.ZipFile(root / f"{name}.zip", "w") as archive:
        for path in packed:
            archive.write(path, f"{name}/{path.name}")
    for path in packed:
        path.unlink()
