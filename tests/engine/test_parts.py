"""Names and values that a part alone knows are refused by the part, before a run starts, all of them at once."""

import pytest

from slowfast.cli.run import main
from slowfast.config import ConfigError, load_cfg
from slowfast.engine.parts import check_parts

RECIPE = "Motion/SLOWFAST_4x4_R18"
SLOW = ["MODEL.MODEL_NAME", "ResNet", "MODEL.ARCH", "slow"]
SEVERAL = ["DATA.MULTI_LABEL", True, "MODEL.HEAD_ACT", "sigmoid"]
STEPS = ["SOLVER.LR_POLICY", "steps_with_relative_lrs"]


def check(*overrides, recipe: str = RECIPE):
    check_parts(load_cfg(recipe, ["NUM_GPUS", 0, *overrides]))


@pytest.mark.parametrize(
    "overrides, message",
    [
        # networks
        (["MODEL.MODEL_NAME", "SlowFats"], r"MODEL\.MODEL_NAME: there is no model 'SlowFats'.*Did you mean SlowFast"),
        (["MODEL.MODEL_NAME", "ResNet", "MODEL.ARCH", "slowest"], r"MODEL\.ARCH='slowest' is not .*slow, fast"),
        (["RESNET.DEPTH", 77], r"RESNET\.DEPTH=77 is not one of 18, 50, 101"),
        (["RESNET.TRANS_FUNC", "bottleneck"], r"RESNET\.TRANS_FUNC='bottleneck' is not one of bottleneck_transform"),
        (["MODEL.HEAD_ACT", "relu"], r"MODEL\.HEAD_ACT='relu' is not one of softmax, sigmoid, none"),
        (["SLOWFAST.FAST_INPUT", "grey"], r"SLOWFAST\.FAST_INPUT='grey' is not one of .*gray"),
        (["SLOWFAST.SLOW_FRAMES", "stride"], r"SLOWFAST\.SLOW_FRAMES.*'stride'|'stride'.*SLOWFAST\.SLOW_FRAMES"),
        (["SLOWFAST.FUSION", "NoFushion"], r"SLOWFAST\.FUSION.*'NoFushion'.*Did you mean NoFusion"),
        (["BN.NORM_TYPE", "layernorm"], r"BN\.NORM_TYPE.*'layernorm'.*sub_batchnorm"),
        ([*SLOW, "NONLOCAL.LOCATION", [[[]], [[1, 4]], [[]], [[]]]], r"NONLOCAL\.LOCATION.*4.*blocks 0 to 1"),
        (
            [*SLOW, "NONLOCAL.INSTANTIATION", "gaussian", "NONLOCAL.LOCATION", [[[]], [[1]], [[]], [[]]]],
            r"NONLOCAL\.INSTANTIATION='gaussian' is not one of dot_product, softmax",
        ),
        (["MODEL.ARCH", "slow"], r"MODEL\.MODEL_NAME=SlowFast with MODEL\.ARCH='slow': set MODEL\.ARCH slowfast"),
        (["MODEL.MODEL_NAME", "X3D", "MODEL.ARCH", "slow"], r"=X3D with MODEL\.ARCH='slow': set MODEL\.ARCH x3d"),
        (["MODEL.MODEL_NAME", "PTVCSN", "MODEL.ARCH", "slow"], r"=PTVCSN with .*: set MODEL\.ARCH csn"),
        (["TRAIN.MIXED_PRECISION_DTYPE", "fp16"], r"TRAIN\.MIXED_PRECISION_DTYPE='fp16'.*auto, bfloat16, float16"),
        # training
        (["TRAIN.DDP.COMPRESSION", "zip"], r"TRAIN\.DDP\.COMPRESSION='zip' is not one of"),
        (SEVERAL, r"DATA\.MULTI_LABEL with MODEL\.LOSS_FUNC='cross_entropy': this loss needs one label per video"),
        ([*SEVERAL, "MODEL.LOSS_FUNC", "Softmax_Focal"], r"DATA\.MULTI_LABEL with MODEL\.LOSS_FUNC='Softmax_Focal'"),
        (
            ["SOLVER.LARS_ON", True, "SOLVER.OPTIMIZING_METHOD", "adamw"],
            r"SOLVER\.LARS_ON with SOLVER\.OPTIMIZING_METHOD='adamw': it works only with sgd",
        ),
        (["TRAIN.DATASET", "kinetic"], r"TRAIN\.DATASET.*'kinetic'.*Did you mean kinetics"),
        (["MODEL.LOSS_FUNC", "cross_entrpy"], r"MODEL\.LOSS_FUNC.*'cross_entrpy'.*Did you mean cross_entropy\?"),
        (["SOLVER.OPTIMIZING_METHOD", "adamv"], r"SOLVER\.OPTIMIZING_METHOD='adamv'.*Did you mean adam"),
        (
            ["SOLVER.NESTEROV", True, "SOLVER.DAMPENING", 0.1, "SOLVER.OPTIMIZING_METHOD", "sgd"],
            r"SOLVER\.NESTEROV needs momentum and no dampening.*DAMPENING=0\.1",
        ),
        (["SOLVER.LR_POLICY", "cosin"], r"SOLVER\.LR_POLICY='cosin'.*Did you mean cosine\?"),
        (["SOLVER.COSINE_END_LR", 5.0], r"SOLVER\.COSINE_END_LR=5\.0: must lie between 0 and SOLVER\.BASE_LR="),
        ([*STEPS, "SOLVER.STEPS", [0, 9, 9], "SOLVER.LRS", [1, 1, 1]], r"SOLVER\.STEPS=\[0, 9, 9\]: epochs must rise"),
        (["AUG.ENABLE", True, "AUG.RE_MODE", "black"], r"AUG\.RE_MODE.*'black'"),
        # test
        (["DATA.ENSEMBLE_METHOD", "median"], r"DATA\.ENSEMBLE_METHOD='median' is not one of .*mean"),
        (["TEST.EVALUATOR", "top"], r"TEST\.EVALUATOR: there is no evaluator 'top'.*Did you mean topk"),
        (["TEST.EVALUATOR", "charades_map"], r"TEST\.EVALUATOR='charades_map' with DATA\.MULTI_LABEL=False"),
        (
            ["TEST.EVALUATOR", "topk", "MODEL.LOSS_FUNC", "bce", *SEVERAL],
            r"TEST\.EVALUATOR='topk' with DATA\.MULTI_LABEL=True: it is for videos with one label",
        ),
        (["TEST.DATASET", "kinetic"], r"TEST\.DATASET.*'kinetic'"),
    ],
    ids=lambda value: " ".join(map(str, value))[-50:] if isinstance(value, list) else "",
)
def test_a_part_says_what_it_does_not_take(overrides, message):
    with pytest.raises(ConfigError, match=message) as info:
        check(*overrides)
    assert len(str(info.value).splitlines()) == 1


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["AVA.PROTOCOL", "offical"], r"AVA\.PROTOCOL.*'offical' is not one of pyslowfast, .*Did you mean official\?"),
        (["MODEL.LOSS_FUNC", "cross_entropy"], r"DETECTION\.ENABLE with .*='cross_entropy': boxes have several labels"),
        (["MODEL.MODEL_NAME", "torchvision/r3d_18"], r"=torchvision/r3d_18: its head scores only clips"),
        (["MODEL.MODEL_NAME", "X3D"], r"=X3D: its head scores only clips"),
    ],
)
def test_parts_that_do_not_go_with_detection(overrides, message):
    with pytest.raises(ConfigError, match=message):
        check(*overrides, recipe="Motion/DETECTION_SLOWFAST_4x4_R18")


def test_all_parts_are_asked():
    with pytest.raises(ConfigError) as info:
        check("MODEL.HEAD_ACT", "relu", "SOLVER.LR_POLICY", "poly", "DATA.ENSEMBLE_METHOD", "median")
    assert [line.split("=")[0].split(":")[0] for line in str(info.value).splitlines()] == [
        "MODEL.HEAD_ACT",
        "SOLVER.LR_POLICY",
        "DATA.ENSEMBLE_METHOD",
    ]


def test_what_is_not_used_is_not_asked_for():
    check("TRAIN.ENABLE", False, "SOLVER.LR_POLICY", "poly", "MODEL.LOSS_FUNC", "own")


def test_a_network_that_is_not_made_for_the_meta_device_is_left_to_the_run(tmp_path):
    own = tmp_path / "own.py"
    own.write_text(
        "import torch\nfrom slowfast.models import MODEL_REGISTRY\n\n\n"
        "@MODEL_REGISTRY.register()\nclass LooksAtItsWeights(torch.nn.Linear):\n"
        "    def __init__(self):\n        super().__init__(2, 2)\n        self.first = self.weight[0, 0].item()\n"
    )
    check("IMPORTS", [str(own)], "MODEL.MODEL_NAME", "LooksAtItsWeights")


def test_its_warnings_are_left_to_the_run(caplog):
    check("RESNET.STRIDE_1X1", True, "BN.NORM_TYPE", "sync_batchnorm")
    assert not caplog.records


def test_a_slip_in_the_second_job_is_found_before_the_first_starts(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("slowfast.cli.run.launch", lambda *args, **kwargs: pytest.fail("a job was started"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "second.yaml").write_text(f"_BASE_: {RECIPE}\nMODEL:\n  HEAD_ACT: relu\n")
    assert main(["--cfg", RECIPE, "second", "NUM_GPUS", "0"]) == 2
    assert "MODEL.HEAD_ACT='relu' is not one of" in capsys.readouterr().err
