"""Names tell which videos come from one recording, and a split keeps those together."""

from collections import Counter

import pytest

from slowfast.preparation.folder_lists import folder_lists
from slowfast.preparation.video_groups import find_groups, split_by_group
from tests.preparation.conftest import put

UCF = {
    name: [f"{name}/v_{name}_g{g:02}_c{c:02}.avi" for g in range(1, 26) for c in range(1, 5)]
    for name in ("Archery", "Bow")
}
IDS = [f"{i:02}-bcdefghi" for i in range(12)]  # 11 letters, as YouTube's
KINETICS = {
    "abseiling": [f"abseiling/{id_}_{1000 * k:06}_{1000 * k + 10:06}.mp4" for id_ in IDS for k in range(2)],
    "archery": [f"archery/{id_}_000090_000100.mp4" for id_ in IDS[6:]],
}
STEMS = {"a": [f"a/{film}_{i}.mp4" for film in ("Jaws", "Alien (1979)", "Up", "Heat") for i in range(5)]}


@pytest.mark.parametrize(
    ("videos", "rule", "path", "group", "num_groups"),
    [
        (UCF, "UCF's group", "Bow/v_Bow_g07_c02.avi", "Bow/g07", 50),
        (KINETICS, "Kinetics' video id", "archery/06-bcdefghi_000090_000100.mp4", "06-bcdefghi", 12),
        (STEMS, "the name before its last number", "a/Alien (1979)_3.mp4", "Alien (1979)", 4),
    ],
)
def test_names_tell_the_recording(videos, rule, path, group, num_groups):
    groups = find_groups(videos)
    assert (groups.rule.name, groups.group_of[path], groups.num_groups) == (rule, group, num_groups)
    assert rule in str(groups) and f"{num_groups} recordings" in str(groups)


@pytest.mark.parametrize("pattern", ["{}.mp4", "video_{}.mp4", "{:05}.mp4", "clip ({}).mp4"])
def test_a_running_number_is_no_recording(pattern):
    groups = find_groups({name: [f"{name}/{pattern.format(i)}" for i in range(30)] for name in "abc"})
    assert groups.rule is None and groups.num_groups == 90
    assert "every video counts as its own" in str(groups)


@pytest.mark.parametrize("videos", [UCF, KINETICS, STEMS])
@pytest.mark.parametrize("seed", range(5))
def test_no_recording_is_in_two_splits_and_classes_keep_their_shares(videos, seed):
    groups, fractions = find_groups(videos), (0.6, 0.2, 0.2)
    splits = split_by_group(videos, groups, fractions, seed=seed)
    assert sorted(path for split in splits for paths in split.values() for path in paths) == sorted(
        path for paths in videos.values() for path in paths
    )
    owners = Counter(group for split in splits for group in {groups.group_of[p] for ps in split.values() for p in ps})
    assert set(owners.values()) == {1}
    for name, paths in videos.items():
        largest = max(Counter(groups.group_of[path] for path in paths).values())
        for split, share in zip(splits, fractions, strict=True):
            # recordings that an earlier class has placed cannot be moved: archery shares all of its own with abseiling
            slack = 3 * largest if name != "archery" else len(paths) / 3
            assert abs(len(split.get(name, ())) - share * len(paths)) <= slack
    assert split_by_group(videos, groups, fractions, seed=seed) == splits


def test_three_recordings_fill_three_splits():
    videos = {"a": [f"a/v_a_g{g:02}_c{c:02}.avi" for g in (1, 2, 3) for c in range(1, 9)]}
    splits = split_by_group(videos, find_groups(videos), (0.7, 0.15, 0.15))
    assert [len(split["a"]) for split in splits] == [8, 8, 8]
    (train, none, test) = split_by_group(videos, find_groups(videos), (0.7, 0, 0.3))
    assert not none and len(train["a"]) == 16 and len(test["a"]) == 8


def test_lists_of_folders_split_by_group(tmp_path):
    put(tmp_path, *(path for paths in UCF.values() for path in paths))
    lists = folder_lists(tmp_path, fractions=(0.8, 0.1, 0.1), by_group=True)
    assert "50 recordings by UCF's group" in lists.notes[0]
    of_split = {s: {(label, p.split("_g")[1][:2]) for p, label in rows} for s, rows in lists.rows.items()}
    assert not of_split["train"] & of_split["test"] and not of_split["train"] & of_split["val"]
    assert {split: len(rows) for split, rows in lists.rows.items()} == {"train": 160, "val": 20, "test": 20}
    plain = folder_lists(tmp_path, fractions=(0.8, 0.1, 0.1))
    assert plain.rows != lists.rows and not plain.notes
