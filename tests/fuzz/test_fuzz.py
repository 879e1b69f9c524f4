"""Damaged files of every kind: a reader gives a result, or its documented error, which names the file.

A few cases each in the usual run. Many, in processes of their own: ``pytest tests/fuzz --fuzz-cases 20000 -k video``.
"""

import pytest

from tests.fuzz.harness import run_cases, run_isolated
from tests.fuzz.readers import READERS

SHORT_CASES = 20


@pytest.mark.parametrize("name", [name for name in READERS if name != "video_large"])
def test_damaged_files_give_documented_errors(name, tmp_path):
    assert not run_cases(name, READERS[name], range(SHORT_CASES), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_many_damaged_files_give_documented_errors(name, request):
    num_cases = request.config.getoption("--fuzz-cases")
    if not num_cases:
        pytest.skip("--fuzz-cases N says how many")
    findings = run_isolated(name, range(SHORT_CASES, SHORT_CASES + num_cases))
    assert not findings, "\n".join(map(str, findings[:20]))
