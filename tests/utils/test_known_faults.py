"""Which releases of torch and cuDNN are named for which use."""

import re

import pytest

from slowfast.utils.known_faults import KNOWN_FAULTS, cudnn_numbers, known_faults


def faults(torch_version, cudnn, *, half=True, tf32=False):
    return known_faults(torch_version=torch_version, cudnn_version=cudnn, half_precision=half, tf32=tf32)


# Releases as wheels come: torch with the cuDNN that it pins, and pairs that people make.
@pytest.mark.parametrize(
    "torch_version, cudnn, words",
    [
        ("2.7.1+cu128", 90701, []),
        ("2.8.0+cu128", 91002, ["wrongly"]),
        ("2.8.0+cu128", 90800, ["wrongly"]),
        ("2.9.0+cu128", 91002, ["slow dilated"]),
        ("2.9.0+cu128", 91501, ["whatever its release"]),
        ("2.9.1+cu128", 91300, ["slow dilated"]),
        ("2.9.1+cu128", 91500, []),
        ("2.9.0.dev20250801+cu128", 91501, ["whatever its release"]),
        ("2.10.0+cu130", 91501, []),
        ("2.10.0+cu126", 91002, ["wrongly or"]),
        ("2.15.0+cu132", 92300, []),
        ("main", 91002, []),
    ],
)
def test_pairs_with_16_bits(torch_version, cudnn, words):
    found = faults(torch_version, cudnn)
    assert len(found) == len(words)
    for sentence, word in zip(found, words, strict=True):
        assert word in sentence


@pytest.mark.parametrize("cudnn, expected", [(91001, 0), (91002, 1), (91500, 1), (91600, 0)])
def test_tf32_has_a_fault_of_its_own(cudnn, expected):
    found = faults("2.11.0", cudnn, half=False, tf32=True)
    assert len(found) == expected
    pair = ".".join(map(str, cudnn_numbers(cudnn)))
    assert not expected or re.match(rf"torch 2\.11\.0 with cuDNN {pair}: .*167024\)\. Set BACKEND\.TF32", found[0])
    assert cudnn_numbers(91002) == (9, 10, 2) and cudnn_numbers(8907) == (8, 9, 7)  # as cuDNN counted before 9


def test_full_precision_and_cpus_have_none():
    assert faults("2.9.0", 91002, half=False) == []
    assert faults("2.9.0", None, tf32=True) == []


def test_every_row_says_where_it_was_reported():
    for fault in KNOWN_FAULTS:
        assert fault.needs in ("half", "tf32") and fault.reports and not fault.remedy.endswith(".")
        for span in (fault.torch, fault.cudnn):
            assert span is None or span[0] < span[1]
