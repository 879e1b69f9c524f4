"""The files that list a data set: paths with labels, frame lists, the official files of each set, boxes.

A file that cannot be used raises an ``AnnotationError``: no such file, nothing in it, or bad rows, the first ten of
which it names with the remedy.
"""
