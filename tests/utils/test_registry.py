from __future__ import annotations

import re

import pytest

from slowfast.utils.registry import Registry
from slowfast.utils.suggest import did_you_mean


def registry() -> Registry:
    made = Registry("vehicle", key="GARAGE.NAME")

    @made.register()
    class Lorry:
        pass

    @made.register("van")
    class DeliveryVan:
        pass

    return made


def test_entries_are_found_by_their_name_in_any_case():
    made = registry()
    assert made.names() == ["Lorry", "van"]
    assert made.get("lorry").__name__ == "Lorry" and made.get("VAN").__name__ == "DeliveryVan"
    assert "LORRY" in made and "DeliveryVan" not in made and 7 not in made


def test_a_miss_names_the_place_the_nearest_and_all():
    message = "GARAGE.NAME: there is no vehicle 'lory'. Did you mean Lorry? Known: Lorry, van."
    with pytest.raises(ValueError, match=re.escape(message)):
        registry().get("lory")
    with pytest.raises(ValueError, match=re.escape("GARAGE.NAME: there is no vehicle 'submarine'. Known: Lorry, van.")):
        registry().get("submarine")


def test_a_name_is_given_once_but_to_a_class_that_comes_again_as_when_a_module_is_reloaded():
    made = registry()
    with pytest.raises(ValueError, match=r"vehicle 'LORRY' is already registered, as .*Lorry.*: choose another name"):
        made.register("LORRY")(dict)

    def define():
        class Bus:
            pass

        return Bus

    first, second = define(), define()
    assert made.register()(first) is first
    made.register()(second)
    assert made.get("bus") is second


@pytest.mark.parametrize(
    "word, expected", [("SLOWFAST.ALPA", "SLOWFAST.ALPHA"), ("slowfast.alpha", "SLOWFAST.ALPHA"), ("xyz", None)]
)
def test_nearest(word, expected):
    for known in (["SLOWFAST.ALPHA", "SLOWFAST.BETA_INV"], []):
        assert did_you_mean(word, known) == (f" Did you mean {expected}?" if expected and known else "")
