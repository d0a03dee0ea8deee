"""DICOM in: index, choice of series, geometry, pixels, SUV. Bytes become a CT in HU and a PET in SUV on a true grid."""
