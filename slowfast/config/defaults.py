"""Every config key once: its default, its unit and its meaning.

Names and defaults are PySlowFast's, so that its YAML files load; our own keys are marked [own]. rules/ checks the
values; keys without a counterpart here are refused with the alternative (refused.py).
Letters: T frames of a clip (the Fast frames), K classes, p a probability in [0, 1].
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fvcore.common.config import CfgNode

from slowfast.config.files import Layer, locate, read_layers
from slowfast.config.merge import merge_layers, override_layers
from slowfast.config.rules.check import check_and_infer, odd_settings


class Config(CfgNode):
    """All settings. The merge methods report unknown keys and wrong types with their location.

    Attributes:
        layers: what was merged, in order: bases, files, overrides. ``origins.py`` uses it to tell who set a key.
    """

    layers: tuple[Layer, ...] = ()

    def __repr__(self) -> str:
        """Where the values come from, and how to print them; all of them would fill several screens."""
        sources = dict.fromkeys(Path(layer.source).name for layer in self.layers)
        return f"Config({', '.join(sources) or 'defaults'}; print(cfg) shows all values, print(cfg.MODEL) some)"

    def merge_from_file(self, cfg_filename: str | os.PathLike, allow_unsafe: bool = False) -> None:
        """Merge a YAML file and its ``_BASE_`` files into the current values.

        ``cfg_filename`` may also be the name of one of the package's recipes. ``allow_unsafe``, an argument of fvcore,
        must be False.

        Raises:
            ConfigError: see ``load_cfg``.
        """
        if allow_unsafe:
            raise ValueError("allow_unsafe=True would run code from a YAML file: only False is accepted.")
        self.merge_from_layers(read_layers(locate(cfg_filename)))

    def merge_from_list(self, cfg_list: Sequence[Any], *, because: str = "") -> None:
        """Merge ``[KEY, value, KEY=value, ...]`` into the current values; strings are decoded.

        Args:
            because: the reason, if it was not the user who asked for them; see ``origins.inferred``.

        Raises:
            ConfigError: an unknown key, a wrong type, or a value missing.
        """
        self.merge_from_layers([replace(layer, because=because) for layer in override_layers(cfg_list)])

    def merge_from_layers(self, layers: Sequence[Layer]) -> None:
        """Merge settings from any source into the current values.

        Raises:
            ConfigError: see ``load_cfg``.
        """
        merge_layers(self, layers, _C)
        self.__dict__["layers"] = (*self.layers, *layers)  # not by assignment: that would make it a key


def get_cfg() -> Config:
    """A new, unfrozen config with all defaults."""
    return _C.clone()


def assert_and_infer_cfg(cfg: CfgNode, *, warn: bool = True) -> CfgNode:
    """``cfg`` itself, after all cross-key rules; see ``check_and_infer`` in rules/check.py."""
    return check_and_infer(cfg, _C, warn=warn)


def warnings_of(cfg: CfgNode) -> list[str]:
    """A sentence for each setting that has no effect here or is rarely intended."""
    return list(odd_settings(cfg, _C))


_C = Config()

# ---- Run ----

_C.TASK = ""  # "": supervised recognition; PySlowFast's "ssl" is refused
_C.NUM_GPUS = 1  # processes on this machine, one per GPU; 0: the CPU; "auto": all GPUs
_C.NUM_SHARDS = 1  # machines
_C.SHARD_ID = 0  # index of this machine, from 0
# [own] Seconds that a training step or test batch may take while several processes wait for each other; a process that
# takes longer counts as hung and ends the run. Saving, starting and the first step may take ten times as long.
_C.DIST_TIMEOUT = 60.0
_C.DIST_BACKEND = "nccl"  # process group: "nccl" (GPUs) or "gloo" (CPU)
_C.OUTPUT_DIR = "."  # folder of checkpoints, logs and results; if it is not set, `run` uses outputs/<recipe>
_C.RNG_SEED = 1  # seed of weights, sampling and augmentation, >= 0
_C.LOG_PERIOD = 10  # training steps from one log line to the next
_C.LOG_WRITERS = []  # [own] registered writers of a run's numbers and pictures, in addition to TensorBoard
_C.LOG_MODEL_INFO = True  # log parameters, GFLOPs and activation memory before training
# [own] Modules or .py files to import before building; they register models, data sets, ... Files are relative to the
# YAML file that names them.
_C.IMPORTS = []

# ---- How a GPU computes (docs/GPU.md) ----

_C.BACKEND = CfgNode()
# [own] Time cuDNN's algorithms for every new shape and keep the fastest: "always", "never", or "auto": only if shapes
# stay the same, which excludes multigrid training, detection and DETERMINISTIC.
_C.BACKEND.CUDNN_BENCHMARK = "auto"
_C.BACKEND.TF32 = False  # [own] float32 convolutions and products may round to TF32; for 16 bits, see MIXED_PRECISION
_C.BACKEND.DETERMINISTIC = False  # [own] the same bits from run to run, or an error if torch cannot; slower

# ---- Batch normalization ----

_C.BN = CfgNode()
_C.BN.USE_PRECISE_STATS = False  # re-estimate mean and variance before every evaluation
_C.BN.NUM_BATCHES_PRECISE = 200  # maximum number of training batches in that estimate
_C.BN.WEIGHT_DECAY = 0.0  # of batch norm's scales and biases; SOLVER.WEIGHT_DECAY covers everything else
# Statistics over: "batchnorm" (the clips on one GPU), "sync_batchnorm" (those on NUM_SYNC_DEVICES GPUs),
# "sub_batchnorm" (each of NUM_SPLITS parts of a GPU's clips); "sync_batchnorm_apex" means "sync_batchnorm".
_C.BN.NORM_TYPE = "batchnorm"
_C.BN.NUM_SPLITS = 1  # parts of a GPU's clips, each with its own statistics, "sub_batchnorm" only
_C.BN.NUM_SYNC_DEVICES = 1  # GPUs that share statistics, "sync_batchnorm" only
_C.BN.GLOBAL_SYNC = False  # share over all GPUs of all machines, "sync_batchnorm" only

# ---- Training ----

_C.TRAIN = CfgNode()
_C.TRAIN.ENABLE = True  # whether a run trains
_C.TRAIN.KILL_LOSS_EXPLOSION_FACTOR = 0.0  # stop if the loss exceeds this multiple of the mean of the last 5; 0: never
_C.TRAIN.DATASET = "kinetics"  # registered data set, read by its train and val splits
_C.TRAIN.BATCH_SIZE = 64  # clips of a training step on one machine, shared by its NUM_GPUS
_C.TRAIN.EVAL_PERIOD = 10  # epochs between evaluations on the val split; 0: none (long cycle: EVAL_FREQ)
_C.TRAIN.CHECKPOINT_PERIOD = 10  # epochs between checkpoints
_C.TRAIN.CHECKPOINT_MINUTES = 30.0  # [own] minutes between checkpoints inside an epoch; 0: none
_C.TRAIN.KEEP_CHECKPOINTS = 0  # [own] number of newest epoch checkpoints to keep; 0: all
# [own] Keep the weights with the best value of this validation figure ("top1", "mAP") as checkpoints/best.pyth; a
# leading minus ("-loss") means that smaller is better; "": none.
_C.TRAIN.BEST_FIGURE = ""
_C.TRAIN.EARLY_STOPPING = 0  # [own] end training after this many validations without a better BEST_FIGURE; 0: never
# [own] Keep a moving average of the weights with this decay per step (0.9999: about 10,000 steps), evaluate it (figures
# "ema_...") and save it with the weights; 0: none.
_C.TRAIN.EMA_DECAY = 0.0
_C.TRAIN.BALANCE_CLASSES = False  # [own] draw every class equally often in an epoch, however many videos it has
_C.TRAIN.ACCUMULATE = 1  # [own] parts in which a GPU computes its share of a batch, in sequence: less memory
_C.TRAIN.AUTO_RESUME = True  # continue from the newest readable checkpoint in OUTPUT_DIR
_C.TRAIN.CHECKPOINT_FILE_PATH = ""  # weights to start from (file, URL, zoo name) if no checkpoint is resumed; "": none
_C.TRAIN.CHECKPOINT_MIN_MATCH = 0.5  # [own] minimum share of the model's tensors found in that file, in [0, 1]; 0: any
_C.TRAIN.CHECKPOINT_TYPE = "pytorch"  # of that file: "pytorch" or "caffe2"; recognized from its content
_C.TRAIN.CHECKPOINT_INFLATE = False  # repeat the 2D kernels of an image network along time
_C.TRAIN.CHECKPOINT_EPOCH_RESET = False  # training begins at epoch 1 either way; True: do not log the file's epoch
_C.TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN = []  # prefixes to remove from the file's parameter names
_C.TRAIN.MIXED_PRECISION = False  # compute in 16 bits where that is safe
_C.TRAIN.MIXED_PRECISION_DTYPE = "auto"  # [own] "bfloat16", "float16", or "auto": bfloat16 where supported
_C.TRAIN.TRAINER = "Trainer"  # [own] registered trainer, a subclass of Trainer
_C.TRAIN.TRAINER_ARGS = CfgNode(new_allowed=True)  # [own] keyword arguments of a trainer of your own; any keys
_C.TRAIN.DDP = CfgNode()  # [own] gradients of several processes, by DistributedDataParallel
_C.TRAIN.DDP.STATIC_GRAPH = False  # [own] every step uses the same parameters in the same order: less bookkeeping
_C.TRAIN.DDP.BUCKET_VIEW = True  # [own] keep gradients in the exchanged buffers: saves one copy of them
_C.TRAIN.DDP.COMPRESSION = ""  # [own] exchange gradients as "bfloat16" or "float16", half the bytes; "": unchanged
_C.TRAIN.CHECKPOINT_IN_INIT = False  # refused: see CHECKPOINT_INFLATE

# ---- Augmentation of training batches (AUG.ENABLE and below) ----

_C.AUG = CfgNode()
_C.AUG.ENABLE = False  # AA_TYPE or else COLOR_JITTER on every clip, then random erasing
_C.AUG.NUM_SAMPLE = 1  # separately augmented crops of every clip in a batch, which grows by this factor
_C.AUG.COLOR_JITTER = 0.4  # maximum change of brightness, contrast and saturation, as a fraction; used if AA_TYPE is ""
# RandAugment or AutoAugment in timm's notation, the same for all frames of a clip: "rand-m9-n2-mstd0.5-inc1" (level 0
# to 10, number of operations, noise of the level, strength grows with the level), "original", "v0"; "" for none.
_C.AUG.AA_TYPE = "rand-m9-mstd0.5-inc1"
_C.AUG.INTERPOLATION = "bicubic"  # for operations that move pixels; or "bilinear", "nearest", "random"
_C.AUG.RE_PROB = 0.25  # p of erasing a rectangle of a clip
_C.AUG.RE_MODE = "pixel"  # fill: "pixel" (noise per pixel), "rand" (one random color per clip), "const" (zero)
_C.AUG.RE_COUNT = 1  # maximum number of rectangles in a clip
_C.AUG.RE_SPLIT = False  # leave the first half of a batch unchanged
_C.AUG.GEN_MASK_LOADER = False  # refused: self-supervised
_C.AUG.MASK_TUBE = False  # refused: self-supervised
_C.AUG.MASK_FRAMES = False  # refused: self-supervised
_C.AUG.MASK_WINDOW_SIZE = [8, 7, 7]  # refused: self-supervised
_C.AUG.MASK_RATIO = 0.0  # refused: self-supervised
_C.AUG.MAX_MASK_PATCHES_PER_BLOCK = None  # refused: self-supervised

_C.MIXUP = CfgNode()
_C.MIXUP.ENABLE = False  # blend the clips of a batch and their labels; needs MODEL.LOSS_FUNC "soft_cross_entropy"
_C.MIXUP.ALPHA = 0.8  # mixing shares follow Beta(alpha, alpha); 0: no mixup
_C.MIXUP.CUTMIX_ALPHA = 1.0  # the same for cutmix; 0: no cutmix
_C.MIXUP.PROB = 1.0  # p that a batch is blended
_C.MIXUP.SWITCH_PROB = 0.5  # p of cutmix if both are on
_C.MIXUP.LABEL_SMOOTH_VALUE = 0.1  # share of a label that is spread over all K classes

# ---- Testing ----

_C.TEST = CfgNode()
_C.TEST.ENABLE = True  # whether a run tests, after training if both are on
_C.TEST.DATASET = "kinetics"  # registered data set, read by its test split
_C.TEST.BATCH_SIZE = 8  # views per forward pass on one machine, shared by its NUM_GPUS
_C.TEST.CHECKPOINT_FILE_PATH = ""  # file, URL or zoo name to test; "": the newest in OUTPUT_DIR, else TRAIN's
_C.TEST.NUM_ENSEMBLE_VIEWS = 10  # clips per video, evenly spread over time
_C.TEST.EVALUATOR = ""  # [own] registered evaluator; "": "multilabel_map" for DATA.MULTI_LABEL, else "topk"
_C.TEST.NUM_SPATIAL_CROPS = 3  # crops per clip along its longer side: 3, or 1 in the center
# The paper's "++": fuse the scores of all scales, mirrored and not. Crops grow with the scale.
_C.TEST.SCALES = []  # [own] short sides for a test of clips, pixels; []: only that of the crops
_C.TEST.FLIP = False  # [own] also score mirrored clips
_C.TEST.CHECKPOINT_TYPE = "pytorch"  # of the file: "pytorch" or "caffe2"; seen from its content
_C.TEST.SAVE_RESULTS_PATH = ""  # file in OUTPUT_DIR for all scores and labels (pickle); "": none
_C.TEST.NUM_TEMPORAL_CLIPS = []  # numbers of clips per video, each tested in turn; []: NUM_ENSEMBLE_VIEWS
_C.TEST.MIXED_PRECISION = False  # [own] test in 16 bits (TRAIN.MIXED_PRECISION_DTYPE)
_C.TEST.REPORT = True  # [own] write report.html after a test, a page that needs no network
_C.TEST.NUM_WRONG_VIDEOS = 48  # [own] save frames of this many misclassified videos, the most confident ones; 0: none
_C.TEST.EMA = False  # [own] test the averaged weights of a checkpoint trained with TRAIN.EMA_DECAY
_C.TEST.FOLD_BN = False  # [own] fold batch norm into the convolutions before testing: faster, equal scores

# ---- Networks ----

_C.MODEL = CfgNode()
# Temporal kernels: "slowfast", "slow", "fast", "c2d", "i3d" (or _nopool), "2d"; a label for "x3d", "csn", "r2plus1d"
_C.MODEL.ARCH = "slowfast"
# Registered model: "SlowFast", "ResNet" (one pathway), "X3D", "CSN", "R2Plus1D", ...
_C.MODEL.MODEL_NAME = "SlowFast"
_C.MODEL.NUM_CLASSES = 400  # K
_C.MODEL.LOSS_FUNC = "cross_entropy"  # or "soft_cross_entropy", "softmax_focal", "bce" ("bce_logit"), "sigmoid_focal"
_C.MODEL.SINGLE_PATHWAY_ARCH = ["2d", "c2d", "i3d", "slow", "x3d", "mvit", "maskmvit"]  # any: models know it
_C.MODEL.MULTI_PATHWAY_ARCH = ["slowfast"]  # any: models know it
_C.MODEL.DROPOUT_RATE = 0.5  # p of dropping a feature before the classifier
_C.MODEL.DROPCONNECT_RATE = 0.0  # p of dropping a block's residual, per clip; X3D: smaller in earlier stages
_C.MODEL.FC_INIT_STD = 0.01  # standard deviation of the classifier's initial weights
_C.MODEL.HEAD_ACT = "softmax"  # turns logits into scores in eval mode: "softmax", "sigmoid" (multi-label) or "none"
_C.MODEL.ACT_CHECKPOINT = False  # recompute activations inside residual blocks in the backward pass: less memory
_C.MODEL.DETACH_FINAL_FC = False  # no gradient below the classifier, so only the classifier learns
# [own] Parameters to freeze: their names or those of modules, with * and ?, as in ["slow.stem", "*.res2.*"]. Frozen
# batch norms keep their running statistics.
_C.MODEL.FREEZE = []
_C.MODEL.FROZEN_BN = False  # keep the running statistics of batch norm; its scales and shifts still learn
_C.MODEL.FP16_ALLREDUCE = False  # PySlowFast's name for TRAIN.DDP.COMPRESSION float16
_C.MODEL.CHANNELS_LAST = True  # [own] memory layout (channels_last_3d): faster on GPUs and on CPUs with AMX
_C.MODEL.COMPILE = False  # [own] torch.compile: a slow first step, then faster ones
_C.MODEL.ARGS = CfgNode(new_allowed=True)  # [own] keyword arguments of a model of your own; any keys

_C.LOSS = CfgNode()
# [own] Weight of each class: "" equal, "inverse" or "inverse_sqrt" of its number of training videos (normalized to mean
# 1 over the videos), or a file of K numbers, one per line.
_C.LOSS.CLASS_WEIGHTS = ""
_C.LOSS.ARGS = CfgNode(new_allowed=True)  # [own] keyword arguments of the loss; any keys

_C.SLOWFAST = CfgNode()
_C.SLOWFAST.BETA_INV = 8  # 1 / beta: ratio of Slow channels to Fast channels
_C.SLOWFAST.ALPHA = 8  # ratio of Fast frames to Slow frames; divides DATA.NUM_FRAMES
_C.SLOWFAST.FUSION_CONV_CHANNEL_RATIO = 2  # ratio of a lateral convolution's output channels to the Fast channels
_C.SLOWFAST.FUSION_KERNEL_SZ = 5  # kernel size of a lateral convolution in time, odd
_C.SLOWFAST.FUSION = "TimeStridedConv"  # [own] registered lateral connection
_C.SLOWFAST.FUSION_ARGS = CfgNode(new_allowed=True)  # [own] its keyword arguments; any keys
# [own] Which Fast frames the Slow pathway gets: "linspace" (evenly from first to last, as in PySlowFast and for its
# released weights) or "strided" (every ALPHA-th, as in the paper).
_C.SLOWFAST.SLOW_FRAMES = "linspace"
# [own] What the Fast pathway sees: "rgb", or the paper's weaker inputs "half_resolution", "gray", "time_difference"
# (made from the clip by the model) and "flow" (made from the video by the loader, see FLOW).
_C.SLOWFAST.FAST_INPUT = "rgb"

_C.FLOW = CfgNode()  # [own] optical flow for SLOWFAST.FAST_INPUT flow
_C.FLOW.METHOD = "dis"  # [own] "dis" or "farneback" (OpenCV, the extra [flow]), "raft" (torchvision, FLOW.WEIGHTS)
_C.FLOW.WEIGHTS = ""  # [own] file of torchvision's RAFT-small weights, "raft" only
_C.FLOW.CACHE_DIR = ""  # [own] cache folder of computed flow; "": OUTPUT_DIR/flow
_C.FLOW.BOUND = 20.0  # [own] maximum displacement, pixels per frame; larger ones are clipped

_C.RESNET = CfgNode()
_C.RESNET.TRANS_FUNC = "bottleneck_transform"  # residual block: also "basic_transform", "x3d_transform"
_C.RESNET.NUM_GROUPS = 1  # groups of the spatial convolution (ResNeXt)
_C.RESNET.WIDTH_PER_GROUP = 64  # channels per group in res2; times NUM_GROUPS: the inner width
_C.RESNET.INPLACE_RELU = True  # any: ReLU overwrites its input where that is safe, with equal results
_C.RESNET.STRIDE_1X1 = False  # spatial stride in the first 1x1 convolution of a block, not in its 3x3
_C.RESNET.ZERO_INIT_FINAL_BN = False  # a block's last batch norm starts at zero, so the block starts as the identity
_C.RESNET.ZERO_INIT_FINAL_CONV = False  # a block's last convolution starts at zero
_C.RESNET.DEPTH = 50  # layers: 18, 50 or 101; CSN 50 or 101, R2Plus1D 34 or 50
# Below: one entry per stage, res2 to res5, each [slow, fast]; a single number serves both pathways.
_C.RESNET.NUM_BLOCK_TEMP_KERNEL = [[3], [4], [6], [3]]  # number of first blocks with a temporal kernel
_C.RESNET.SPATIAL_STRIDES = [[1], [2], [2], [2]]  # of the stage's first block
_C.RESNET.SPATIAL_DILATIONS = [[1], [1], [1], [1]]  # of the stage's 3x3 convolutions

_C.NONLOCAL = CfgNode()  # one entry per stage and in it one per pathway, as in RESNET
_C.NONLOCAL.LOCATION = [[[]], [[]], [[]], [[]]]  # indices, from 0, of the blocks that a non-local block follows
_C.NONLOCAL.GROUP = [[1], [1], [1], [1]]  # parts of the clip in time, each attending only to itself
_C.NONLOCAL.INSTANTIATION = "dot_product"  # scales the affinities: "dot_product" (divided by their count) or "softmax"
# Frames, rows and columns that keys and values are max-pooled over.
_C.NONLOCAL.POOL = [[[1, 2, 2], [1, 2, 2]] for _ in range(4)]

_C.X3D = CfgNode()
_C.X3D.WIDTH_FACTOR = 1.0  # multiplies the channels of every stage
_C.X3D.DEPTH_FACTOR = 1.0  # multiplies the blocks of every stage
_C.X3D.BOTTLENECK_FACTOR = 1.0  # ratio of a block's inner to its outer channels
_C.X3D.DIM_C5 = 2048  # channels before the classifier
_C.X3D.DIM_C1 = 12  # channels of the stem
_C.X3D.SCALE_RES2 = False  # apply WIDTH_FACTOR to res2, too
_C.X3D.BN_LIN5 = False  # batch norm before the classifier
_C.X3D.CHANNELWISE_3x3x3 = True  # depthwise 3x3x3 convolutions

# ---- Data ----

_C.DATA = CfgNode()
_C.DATA.PATH_TO_DATA_DIR = ""  # folder of the lists train.csv, val.csv and test.csv
_C.DATA.PATH_LABEL_SEPARATOR = " "  # separator between path and label in a list
_C.DATA.PATH_PREFIX = ""  # folder of the lists' relative paths; "": PATH_TO_DATA_DIR
_C.DATA.NUM_FRAMES = 8  # T, frames per clip (of the Fast pathway, if there are two)
_C.DATA.SAMPLING_RATE = 8  # source frames, at TARGET_FPS, between two frames of a clip
_C.DATA.TRAIN_PCA_EIGVAL = [0.225, 0.224, 0.229]  # eigenvalues of RGB colors, for lighting noise
# The matching eigenvectors, one row per color: R, G, B.
_C.DATA.TRAIN_PCA_EIGVEC = [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.814], [-0.5836, -0.6948, 0.4203]]
_C.DATA.PATH_TO_PRELOAD_IMDB = ""  # refused: still images
_C.DATA.MEAN = [0.45, 0.45, 0.45]  # of RGB in [0, 1], subtracted
_C.DATA.INPUT_CHANNEL_NUM = [3, 3]  # color channels of every pathway's input
_C.DATA.STD = [0.225, 0.225, 0.225]  # of RGB in [0, 1], divided by
_C.DATA.TRAIN_JITTER_SCALES = [256, 320]  # shorter side in pixels, drawn between these before a training crop
_C.DATA.TRAIN_JITTER_SCALES_RELATIVE = []  # or: [min, max] share of the area that a crop covers (Inception's)
_C.DATA.TRAIN_JITTER_ASPECT_RELATIVE = []  # with it: [min, max] width / height of the crop
_C.DATA.USE_OFFSET_SAMPLING = False  # test clips: first at the first frame, last at the last possible
_C.DATA.TRAIN_JITTER_MOTION_SHIFT = False  # an Inception-style training window moves from one region to another
_C.DATA.TRAIN_CROP_SIZE = 224  # side of a training or val crop, pixels
_C.DATA.TEST_CROP_SIZE = 256  # side of a test crop, and shorter side before it, pixels
_C.DATA.TARGET_FPS = 30  # frame rate to which SAMPLING_RATE refers, frames per second
_C.DATA.TRAIN_JITTER_FPS = 0.0  # maximum random increase of TARGET_FPS, frames per second
_C.DATA.DECODING_BACKEND = "torchvision"  # any of PySlowFast's values means our reader (PyAV)
_C.DATA.DECODING_SHORT_SIZE = 256  # shorter side of decoded frames, pixels, if RESIZE_IN_DECODER
_C.DATA.RESIZE_IN_DECODER = False  # [own] resize while converting colors: faster, slightly different pixels
_C.DATA.DECODER_THREADS = 1  # [own] threads of a video decoder; more than 1 can hang in worker processes
_C.DATA.DECODE_TIMEOUT = 60.0  # [own] seconds for one read of a video; then it counts as unreadable; 0: no limit
_C.DATA.INV_UNIFORM_SAMPLE = False  # draw the reciprocal of the shorter side uniformly instead of the side
_C.DATA.RANDOM_FLIP = True  # mirror a training clip with p = 1/2; turn it off if left and right matter
_C.DATA.MULTI_LABEL = False  # a video has any number of labels
_C.DATA.ENSEMBLE_METHOD = "sum"  # fuses the views' scores: "sum", "mean" or "max"
_C.DATA.REVERSE_INPUT_CHANNEL = False  # feed BGR
_C.DATA.TRAIN_CROP_NUM_TEMPORAL = 1  # clips of every video in a batch, each with its own frames
_C.DATA.TRAIN_CROP_NUM_SPATIAL = 1  # crops of each of these clips, times AUG.NUM_SAMPLE: all three multiply the batch
_C.DATA.COLOR_RND_GRAYSCALE = 0.0  # refused: self-supervised
_C.DATA.LOADER_CHUNK_SIZE = 0  # refused: an epoch is the whole list
_C.DATA.LOADER_CHUNK_OVERALL_SIZE = 0  # refused: an epoch is the whole list
_C.DATA.SKIP_ROWS = 0  # leading lines of a list to skip
_C.DATA.TIME_DIFF_PROB = 0.0  # refused: self-supervised
_C.DATA.SSL_COLOR_JITTER = False  # refused: self-supervised
_C.DATA.SSL_COLOR_BRI_CON_SAT = [0.4, 0.4, 0.4]  # refused: self-supervised
_C.DATA.SSL_COLOR_HUE = 0.1  # refused: self-supervised
_C.DATA.SSL_MOCOV2_AUG = False  # refused: self-supervised
_C.DATA.SSL_BLUR_SIGMA_MIN = [0.0, 0.1]  # refused: self-supervised
_C.DATA.SSL_BLUR_SIGMA_MAX = [0.0, 2.0]  # refused: self-supervised
_C.DATA.IN22K_TRAINVAL = False  # refused: still images
_C.DATA.IN22k_VAL_IN1K = ""  # refused: still images
_C.DATA.IN_VAL_CROP_RATIO = 0.875  # refused: still images
_C.DATA.DUMMY_LOAD = False  # refused: see slowfast benchmark
_C.DATA.MAX_BAD_VIDEOS = 100  # [own] maximum number of undecodable training videos; more stop the run
_C.DATA.CHECK_FILES = "sample"  # [own] files whose existence is checked at the start: a "sample", "all" or "none"
_C.DATA.FOLD = 1  # [own] which of the three official splits of UCF101 and HMDB51
_C.DATA.CLASS_NAMES = ""  # [own] file of class names; "": classids.json or class_names.txt with the lists
_C.DATA.ARGS = CfgNode(new_allowed=True)  # [own] keyword arguments of a data set of your own; any keys

_C.DATA_LOADER = CfgNode()
_C.DATA_LOADER.NUM_WORKERS = 8  # loader processes per training process; 0 loads in the process itself
_C.DATA_LOADER.PIN_MEMORY = True  # page-locked batches: faster transfer to the GPU; unused without one
_C.DATA_LOADER.ENABLE_MULTI_THREAD_DECODE = False  # one decoder thread per core, unless DATA.DECODER_THREADS is set
_C.DATA_LOADER.PREFETCH_FACTOR = 2  # [own] batches that every worker prepares in advance
_C.DATA_LOADER.PERSISTENT_WORKERS = True  # [own] keep the workers from epoch to epoch

# ---- Optimization ----

_C.SOLVER = CfgNode()
_C.SOLVER.BASE_LR = 0.1  # learning rate after warm-up, for the batch of all machines
_C.SOLVER.LR_POLICY = "cosine"  # or "steps_with_relative_lrs"
_C.SOLVER.COSINE_END_LR = 0.0  # learning rate at MAX_EPOCH
_C.SOLVER.GAMMA = 0.1  # factor of the learning rate at each step with MULTIGRID.LONG_CYCLE (which ignores LRS)
_C.SOLVER.STEP_SIZE = 1  # refused: see STEPS and LRS
_C.SOLVER.STEPS = []  # epochs at which the steps of steps_with_relative_lrs begin, from 0
_C.SOLVER.LRS = []  # learning rates of these steps, in units of BASE_LR
_C.SOLVER.MAX_EPOCH = 300  # epochs of training
_C.SOLVER.MOMENTUM = 0.9  # of SGD
_C.SOLVER.DAMPENING = 0.0  # of SGD's momentum
_C.SOLVER.NESTEROV = True  # Nesterov's momentum
_C.SOLVER.WEIGHT_DECAY = 1e-4  # L2, for all weights except batch norm's
_C.SOLVER.WARMUP_FACTOR = 0.1  # refused: see WARMUP_START_LR
_C.SOLVER.WARMUP_EPOCHS = 0.0  # epochs, possibly fractional, during which the learning rate rises linearly
_C.SOLVER.WARMUP_START_LR = 0.01  # learning rate at the start of warm-up
_C.SOLVER.OPTIMIZING_METHOD = "sgd"  # or "adam", "adamw" (also as "mt_adamw")
# [own] How the optimizer computes a step: "fused" (one kernel), "foreach" (lists of tensors), "single" (one tensor at a
# time), or "auto": fused on a GPU, torch's own choice on a CPU.
_C.SOLVER.IMPLEMENTATION = "auto"
_C.SOLVER.BASE_LR_SCALE_NUM_SHARDS = False  # multiply the three learning rates above by NUM_SHARDS
# [own] Multiply the three learning rates by (clips per step over all machines) / LR_BATCH_SIZE, the linear rule.
_C.SOLVER.SCALE_LR_TO_BATCH = False
_C.SOLVER.LR_BATCH_SIZE = 0  # [own] clips per step for which BASE_LR was chosen; 0: the batch size in the same recipe
_C.SOLVER.COSINE_AFTER_WARMUP = False  # the cosine begins where warm-up ends, not at epoch 0
_C.SOLVER.ZERO_WD_1D_PARAM = False  # no weight decay for biases and other vectors
_C.SOLVER.CLIP_GRAD_VAL = None  # maximum absolute value of a gradient's entries; None: no limit
_C.SOLVER.CLIP_GRAD_L2NORM = None  # maximum norm of the whole gradient; None: no limit
_C.SOLVER.LARS_ON = False  # with sgd: each tensor moves by a similar fraction of itself (arXiv 1708.03888), trust 0.001
_C.SOLVER.LAYER_DECAY = 1.0  # factor of the learning rate from a layer (a residual block) to the one before it
_C.SOLVER.BETAS = [0.9, 0.999]  # decay rates of Adam's averages

# ---- Loader benchmark ----

_C.BENCHMARK = CfgNode()
_C.BENCHMARK.NUM_EPOCHS = 5  # refused: see slowfast benchmark
_C.BENCHMARK.LOG_PERIOD = 100  # refused: see slowfast benchmark
_C.BENCHMARK.SHUFFLE = True  # refused: see slowfast benchmark

# ---- Detection: actions of boxed people ----

_C.DETECTION = CfgNode()
_C.DETECTION.ENABLE = False  # the head scores boxes, not clips
_C.DETECTION.ALIGNED = True  # RoIAlign with half-pixel centers; converted Caffe2 weights need False
_C.DETECTION.SPATIAL_SCALE_FACTOR = 16  # pixels per side of a feature
_C.DETECTION.ROI_XFORM_RESOLUTION = 7  # side of an aligned box, in features

_C.AVA = CfgNode()
_C.AVA.FRAME_DIR = ""  # folder of extracted frames
_C.AVA.FRAME_LIST_DIR = ""  # folder of frame lists
_C.AVA.ANNOTATION_DIR = ""  # folder of the files below
_C.AVA.TRAIN_LISTS = ["train.csv"]  # frame lists for training
_C.AVA.TEST_LISTS = ["val.csv"]  # frame lists for testing
_C.AVA.TRAIN_GT_BOX_LISTS = ["ava_train_v2.2.csv"]  # true boxes
_C.AVA.TRAIN_PREDICT_BOX_LISTS = []  # detected boxes to train on as well
_C.AVA.TEST_PREDICT_BOX_LISTS = ["ava_val_predicted_boxes.csv"]  # detected boxes to test on
_C.AVA.DETECTION_SCORE_THRESH = 0.9  # minimum score of a detected box
_C.AVA.BGR = False  # feed BGR
_C.AVA.TRAIN_USE_COLOR_AUGMENTATION = False  # color jitter and lighting noise
_C.AVA.TRAIN_PCA_JITTER_ONLY = True  # only lighting noise
_C.AVA.TEST_FORCE_FLIP = False  # mirror every test clip
_C.AVA.FULL_TEST_ON_VAL = False  # evaluate on all of val while training
_C.AVA.LABEL_MAP_FILE = "ava_action_list_v2.2_for_activitynet_2019.pbtxt"  # the evaluated classes
_C.AVA.EXCLUSION_FILE = "ava_val_excluded_timestamps_v2.2.csv"  # seconds excluded from evaluation
_C.AVA.GROUNDTRUTH_FILE = "ava_val_v2.2.csv"  # true boxes for testing
# [own] The time scale of the annotations, in seconds from the start of a movie. Your own sets may use any.
_C.AVA.FIRST_SECOND = 902  # [own] first second with boxes; earlier rows are skipped
_C.AVA.LAST_SECOND = 1798  # [own] last second with boxes; later rows are skipped
_C.AVA.FRAMES_START_SECONDS = 900.0  # [own] time of the first frame of a frame list, seconds
_C.AVA.FPS = 30.0  # [own] frame rate of extracted frames, to which DATA.SAMPLING_RATE refers, frames per second
_C.AVA.MOVIE_DIR = ""  # [own] folder of movie files, read if AVA.FRAME_DIR is ""
_C.AVA.MOVIE_START_SECONDS = 0.0  # [own] time in the movie at which these files begin, seconds: 900 for cut ones
_C.AVA.TEST_SCALES = []  # [own] short sides that a test averages over, pixels; []: DATA.TEST_CROP_SIZE
_C.AVA.TEST_FLIP = False  # [own] average with the scores of the mirrored clip
_C.AVA.PROTOCOL = "pyslowfast"  # [own] rules of the evaluation; or "official" (the challenge's program)
_C.AVA.DROP_OUTSIDE_BOXES = False  # [own] drop training boxes that lie entirely outside the crop
_C.AVA.IMG_PROC_BACKEND = "cv2"  # any: there is one way to read and resize images

# ---- Multigrid training (arXiv 1912.00998): small clips in large batches first ----

_C.MULTIGRID = CfgNode()
_C.MULTIGRID.EPOCH_FACTOR = 1.5  # epochs with multigrid, in units of SOLVER.MAX_EPOCH; scales the solver's steps, too
_C.MULTIGRID.SHORT_CYCLE = False  # the crop size changes from batch to batch; the head pools globally
_C.MULTIGRID.SHORT_CYCLE_FACTORS = [0.5, 0.5**0.5]  # crops of the short cycle, in units of DATA.TRAIN_CROP_SIZE
# Frames and crop size change from stage to stage. SOLVER.LR_POLICY must be steps_with_relative_lrs; the learning
# rate is then SOLVER.BASE_LR * SOLVER.GAMMA ^ (steps so far) * (batch of the stage / TRAIN.BATCH_SIZE).
_C.MULTIGRID.LONG_CYCLE = False
# The stages before every step: (frames / DATA.NUM_FRAMES, crop / DATA.TRAIN_CROP_SIZE).
_C.MULTIGRID.LONG_CYCLE_FACTORS = [[0.25, 0.5**0.5], [0.5, 0.5**0.5], [0.5, 1], [1, 1]]
# Clips per batch-norm statistic, whatever the batch size; BN.NORM_TYPE and the BN keys below it are ignored.
_C.MULTIGRID.BN_BASE_SIZE = 8
_C.MULTIGRID.EVAL_FREQ = 3  # maximum evaluations per long-cycle stage, instead of TRAIN.EVAL_PERIOD (0 there: none)
# What PySlowFast records while it trains. These may repeat the recipe's values; others come from a stage of the long
# cycle and are refused.
_C.MULTIGRID.LONG_CYCLE_SAMPLING_RATE = 0  # of DATA.SAMPLING_RATE
_C.MULTIGRID.DEFAULT_B = 0  # any: of TRAIN.BATCH_SIZE
_C.MULTIGRID.DEFAULT_T = 0  # of DATA.NUM_FRAMES
_C.MULTIGRID.DEFAULT_S = 0  # of DATA.TRAIN_CROP_SIZE

# ---- TensorBoard ----

_C.TENSORBOARD = CfgNode()
_C.TENSORBOARD.ENABLE = False  # write scalars (loss, learning rate, accuracy, times)
_C.TENSORBOARD.PREDICTIONS_PATH = ""  # scores of an earlier test to draw from
_C.TENSORBOARD.LOG_DIR = ""  # folder inside OUTPUT_DIR; "": "tensorboard"
_C.TENSORBOARD.CLASS_NAMES_PATH = ""  # JSON of class names
_C.TENSORBOARD.CATEGORIES_PATH = ""  # JSON of groups of classes
_C.TENSORBOARD.CONFUSION_MATRIX = CfgNode()
_C.TENSORBOARD.CONFUSION_MATRIX.ENABLE = False  # draw it
_C.TENSORBOARD.CONFUSION_MATRIX.FIGSIZE = [8, 8]  # inches
_C.TENSORBOARD.CONFUSION_MATRIX.SUBSET_PATH = ""  # file of the classes drawn; "": all
_C.TENSORBOARD.HISTOGRAM = CfgNode()
_C.TENSORBOARD.HISTOGRAM.ENABLE = False  # draw the predictions of each class's videos
_C.TENSORBOARD.HISTOGRAM.SUBSET_PATH = ""  # file of the classes drawn; "": all
_C.TENSORBOARD.HISTOGRAM.TOPK = 10  # bars
_C.TENSORBOARD.HISTOGRAM.FIGSIZE = [8, 8]  # inches
_C.TENSORBOARD.MODEL_VIS = CfgNode()
_C.TENSORBOARD.MODEL_VIS.ENABLE = False  # draw weights, activations and Grad-CAM
_C.TENSORBOARD.MODEL_VIS.MODEL_WEIGHTS = False  # weights
_C.TENSORBOARD.MODEL_VIS.ACTIVATIONS = False  # activations
_C.TENSORBOARD.MODEL_VIS.INPUT_VIDEO = False  # the clip itself
_C.TENSORBOARD.MODEL_VIS.LAYER_LIST = []  # names of the layers drawn
_C.TENSORBOARD.MODEL_VIS.TOPK_PREDS = 1  # classes written on a frame
_C.TENSORBOARD.MODEL_VIS.COLORMAP = "Pastel2"  # matplotlib's name
_C.TENSORBOARD.MODEL_VIS.GRAD_CAM = CfgNode()
_C.TENSORBOARD.MODEL_VIS.GRAD_CAM.ENABLE = True  # heatmaps over the clip, if MODEL_VIS is on
_C.TENSORBOARD.MODEL_VIS.GRAD_CAM.LAYER_LIST = []  # one layer per pathway
_C.TENSORBOARD.MODEL_VIS.GRAD_CAM.USE_TRUE_LABEL = False  # for the label instead of the best class
_C.TENSORBOARD.MODEL_VIS.GRAD_CAM.COLORMAP = "viridis"  # matplotlib's name
_C.TENSORBOARD.WRONG_PRED_VIS = CfgNode()
_C.TENSORBOARD.WRONG_PRED_VIS.ENABLE = False  # show misclassified videos
_C.TENSORBOARD.WRONG_PRED_VIS.TAG = "Incorrectly classified videos."  # their heading
_C.TENSORBOARD.WRONG_PRED_VIS.SUBSET_PATH = ""  # file of the classes shown; "": all

# ---- Demo on a video or camera ----

_C.DEMO = CfgNode()
_C.DEMO.ENABLE = False  # run the `slowfast predict` command equivalent to these keys
_C.DEMO.LABEL_FILE_PATH = ""  # JSON of class names
_C.DEMO.WEBCAM = -1  # camera; -1: none
_C.DEMO.INPUT_VIDEO = ""  # video file
_C.DEMO.DISPLAY_WIDTH = 0  # pixels; 0: as in the input
_C.DEMO.DISPLAY_HEIGHT = 0  # pixels; 0: as in the input
_C.DEMO.DETECTRON2_CFG = "COCO-Detection/faster_rcnn_R_50_FPN_3x.yaml"  # person detector
# Its weights, in Detectron2's notation. Any for both: a detection DEMO needs PREDS_BOXES here, which replaces them.
_C.DEMO.DETECTRON2_WEIGHTS = "detectron2://COCO-Detection/faster_rcnn_R_50_FPN_3x/137849458/model_final_280758.pkl"
_C.DEMO.DETECTRON2_THRESH = 0.9  # minimum score of a detected person
_C.DEMO.BUFFER_SIZE = 0  # frames that two clips share
_C.DEMO.OUTPUT_FILE = ""  # video written; "": a window
_C.DEMO.OUTPUT_FPS = -1  # frames per second; -1: as in the input
_C.DEMO.INPUT_FORMAT = "BGR"  # any: the model gets the channel order that it was trained with
_C.DEMO.CLIP_VIS_SIZE = 10  # frames to draw on before and after a clip's center or key frame
_C.DEMO.NUM_VIS_INSTANCES = 2  # any: one process draws the same pictures
_C.DEMO.PREDS_BOXES = ""  # file of detected boxes
_C.DEMO.THREAD_ENABLE = False  # any: a thread reads cameras
_C.DEMO.NUM_CLIPS_SKIP = 0  # clips to skip after each scored one
_C.DEMO.GT_BOXES = ""  # file of true boxes
_C.DEMO.STARTING_SECOND = 900  # time in the movie at which the video begins, seconds
_C.DEMO.FPS = 30  # any: the video states its frame rate
# Classes to draw: all from a score on ("thres") or the best TENSORBOARD.MODEL_VIS.TOPK_PREDS ("top-k").
_C.DEMO.VIS_MODE = "thres"
_C.DEMO.COMMON_CLASS_THRES = 0.7  # minimum score for drawing a common class
_C.DEMO.UNCOMMON_CLASS_THRES = 0.3  # ... any other class; without DEMO.LABEL_FILE_PATH all are common
# The common classes.
_C.DEMO.COMMON_CLASS_NAMES = [
    "watch (a person)",
    "talk to (e.g., self, a person, a group)",
    "listen to (a person)",
    "touch (an object)",
    "carry/hold (an object)",
    "walk",
    "sit",
    "lie/sleep",
    "bend/bow (at the waist)",
]
_C.DEMO.SLOWMO = 1  # factor by which a drawn clip is slowed down
