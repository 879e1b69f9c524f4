"""Reading weights in every naming (ours, PySlowFast's, Caffe2's, torchvision's, 2D image networks'), by file or
name."""
