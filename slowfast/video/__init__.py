"""Video files to frames to crops; knows nothing of data sets, labels or configs."""
