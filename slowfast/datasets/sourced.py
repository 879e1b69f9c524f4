"""Clips of videos named by an id, for the sets that PySlowFast reads as single images."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from fvcore.common.config import CfgNode

from slowfast.datasets.clips import ClipDataset
from slowfast.datasets.frame_source import FrameSource
from slowfast.datasets.lists.path_labels import VideoList
from slowfast.video.reader import FrameReader

logger = logging.getLogger(__name__)


LIST_HINT = "Paths in a list are relative to DATA.PATH_PREFIX, or else to its folder. DATA.CHECK_FILES none starts so."


@dataclass(frozen=True, repr=False)
class SourcedVideos(VideoList):
    """A list of videos with the source of their frames; ``paths`` are those of the source."""

    frame_source: FrameSource


class SourcedDataset(ClipDataset):
    """Clips of ``SourcedVideos``, for sets that PySlowFast reads as single images, counting frames and not seconds."""

    pyslowfast_reads_bgr = True
    single_crop = "first"  # as in PySlowFast; DATA.ARGS may say else
    videos: SourcedVideos

    @classmethod
    def clip_options(cls, cfg: CfgNode, split: str) -> dict:
        """As in ``ClipDataset``; warns of keys that count seconds, which have no effect here, and of BGR."""
        data = cfg.DATA
        unused = {"TARGET_FPS": data.TARGET_FPS != 30, "TRAIN_JITTER_FPS": data.TRAIN_JITTER_FPS}
        unused["USE_OFFSET_SAMPLING"] = data.USE_OFFSET_SAMPLING
        for key in (key for key, is_set in unused.items() if is_set):
            logger.warning("DATA.%s=%s has no effect on %s: its clips count frames.", key, data[key], cls.__name__)
        options = super().clip_options(cfg, split)
        is_first = split == ("train" if cfg.TRAIN.ENABLE else "test")  # said once, though a run builds all three
        if is_first and options["protocol"].channel_order == "BGR" and not data.REVERSE_INPUT_CHANNEL:
            logger.warning(
                "%s: clips are fed as BGR, as PySlowFast reads the images of this set. Kinetics weights need RGB: set "
                "DATA.REVERSE_INPUT_CHANNEL True.",
                cls.__name__,
            )
        return {**options, "target_fps_jitter": 0.0}

    @classmethod
    def _crops_cover_the_frame(cls, num_crops: int) -> bool:
        return True  # whatever their number, as PySlowFast has it for these sets

    def _open(self, index: int) -> FrameReader:
        return self.videos.frame_source.open(index, num_threads=self.decoder_threads)
