"""Hepatic tumour load, SSR uptake and response of neuroendocrine tumours, from CT and PET DICOM."""

__version__ = "0.1.0"
