"""Motion, the built-in data set: real video files of moving shapes, written on demand."""
