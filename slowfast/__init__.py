"""SlowFast networks for video recognition: train, test and study them in PyTorch.

``slowfast.load("checkpoint.pyth")("video.mp4").top(5)`` names what a video shows.
"""

__version__ = "0.1.0"


def load(path_or_name, *, model=None, config=None, device=None, overrides=(), allow_imports=False):
    """A ``Pipeline`` of a checkpoint, or of published weights by name: ``pipeline("video.mp4").top(5)``.

    Args:
        path_or_name: a checkpoint of ours, which tells all that is needed; a file that PySlowFast, PyTorchVideo or
            mmaction2 published, or one of such a network; any other file of weights, with ``config``; or a name of
            ``slowfast zoo`` ("SLOWFAST_8x8_R50", "mmaction2/slowfast_r50_8x8"), which is downloaded once.
        model: name of the published network that the file is of; default recognized by names and shapes, where they
            tell. It is used as its authors use it: colors, frames of a clip, crops.
        config: recipe of the weights, a file or a name such as "Kinetics/SLOWFAST_8x8_R50".
        device: default the first GPU if there is one, else the CPU.
        overrides: ``[KEY, value, ...]`` over the config, such as ``["TEST.NUM_ENSEMBLE_VIEWS", 1]``.
        allow_imports: import the modules that the checkpoint's config names (IMPORTS). That runs their code: allow it
            for files that you trust.

    Raises:
        ValueError: no such file or name, a file without config, or weights of another model.
    """
    from slowfast.engine.pipeline import load_pipeline

    given = {"device": device, "overrides": overrides, "allow_imports": allow_imports}
    return load_pipeline(path_or_name, model=model, config=config, **given)
