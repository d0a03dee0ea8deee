"""Digital patients: from a seed to CT and PET, the truth behind them, and valid DICOM."""
