"""From a hospital's archive (PACS) into a study folder, by DICOMweb or by the classic DICOM network."""
