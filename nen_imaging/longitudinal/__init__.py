"""Stagings of one patient, put in a row: aligned livers, lesions followed over time, responses with reasons."""
