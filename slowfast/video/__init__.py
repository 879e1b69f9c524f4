"""Video files to frames to crops; knows nothing of data sets, labels or configs.

What cannot be opened or decoded raises a ``VideoReadError``, which names the file and the cause.
"""
