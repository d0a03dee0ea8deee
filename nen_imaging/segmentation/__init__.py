"""A CT -> liver and lesions with probability, by a MONAI network in two stages."""
