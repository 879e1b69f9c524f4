"""SlowFast networks for video recognition: train, test and study them in PyTorch."""

__version__ = "0.1.0"
