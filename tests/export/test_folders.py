"""Names of folders: safe in every shell and file system, and never one for two names."""

import re

from hypothesis import given
from hypothesis import strategies as st
from tests.export.hard_plans import ODD

from adaptwin.export.names import distinct_folders, dns_label

NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=20)


def test_a_plain_name_stays_and_another_gets_its_label():
    assert distinct_folders(["Tenant_1.b", "a b", "-x", ".."]) == {
        "Tenant_1.b": "Tenant_1.b",
        "a b": dns_label("a b"),
        "-x": dns_label("-x"),
        "..": dns_label(".."),
    }


def test_a_name_that_is_the_label_of_another_keeps_it():
    taken = dns_label("a b")
    folders = distinct_folders(["a b", taken])
    assert folders[taken] == taken
    assert folders["a b"] != taken


@given(st.lists(st.one_of(NAMES, st.sampled_from(ODD)), unique=True))
def test_every_name_has_a_safe_folder_of_its_own(names):
    folders = distinct_folders(names)
    assert list(folders) == names
    assert len(set(folders.values())) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", folder) for folder in folders.values())
