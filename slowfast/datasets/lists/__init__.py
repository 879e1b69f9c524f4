"""The files that list a data set: paths with labels, frame lists, the official files of each set, boxes."""
