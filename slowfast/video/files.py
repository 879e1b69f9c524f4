"""Which files are videos or images, by their extensions (lower case, with the dot)."""

# fmt: off
VIDEO_ENDINGS = frozenset((
    ".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv",
    ".ts", ".webm", ".wmv",
))
# fmt: on
IMAGE_ENDINGS = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp"))
