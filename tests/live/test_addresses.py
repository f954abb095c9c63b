"""Addresses of servers, with and without the names of servers of a plan."""

import pytest

from adaptwin import SpecError
from adaptwin.live.addresses import Address, addresses_of


def test_an_address_may_have_a_name():
    assert addresses_of(["gpu-0=http://a:8000/v1", "b:8000"]) == [
        Address("gpu-0", "http://a:8000"),
        Address(None, "http://b:8000"),
    ]


def test_an_equals_sign_in_the_path_makes_no_name():
    assert addresses_of(["http://a:8000/x=y"]) == [Address(None, "http://a:8000/x=y")]


@pytest.mark.parametrize(
    ("texts", "said"),
    [(["a:1", "http://a:1/"], "is given twice"), (["x=a:1", "x=b:1"], "'x' has two addresses"), (["x="], "no address")],
)
def test_what_is_no_list_of_addresses_is_refused(texts, said):
    with pytest.raises(SpecError, match=said):
        addresses_of(texts)
