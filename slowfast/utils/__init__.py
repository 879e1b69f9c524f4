"""Small things that know nothing of video."""
