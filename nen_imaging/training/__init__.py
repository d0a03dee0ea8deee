"""Labelled CT -> a bundle in `models/`: data, synthetic lesions, augmentation, loop, export."""
