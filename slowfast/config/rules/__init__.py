"""Checks across keys, before anything is built; one file for each part that they speak of."""
