"""Facts of color that videos and networks share."""

LUMA = (0.299, 0.587, 0.114)  # gray of R, G and B (ITU-R BT.601)
