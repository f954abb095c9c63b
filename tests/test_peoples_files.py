"""Files that people brought, and hostile ones: read as they mean, or refused in one line that names file and place."""

import re
from pathlib import Path

import pytest

from adaptwin import SpecError
from adaptwin.plan.fleet import read_fleet

CASES = Path(__file__).resolve().parents[2] / "shared" / "field" / "cases"
READ = {  # adapters with name, rank and rate
    "fuzz/a_anchor2.yaml": [("a", 8, 0.1), ("b", 8, 0.1)],
    "fuzz/c_sci.yaml": [("a", 8, 0.1), ("b", 8, 0.05)],
    "fuzz/m_bom.yaml": [("a", 8, 0.1)],
    "fuzz/o_str.yaml": [("a", 16, 0.5)],
    "fuzz/y_zero.yaml": [("a", 8, 0.0), ("b", 8, 0.0)],
    "fuzz/z11.CSV": [("a", 8, 0.1)],
    "fuzz/z12.txt": [("a", 8, 0.1)],
    "fuzz/z3_bomcrlf.csv": [("a", 8, 0.1), ("b", 16, 0.5)],
    "fuzz/z7_tab.csv": [("a", 8, 0.1)],
}
REFUSED = {
    "fuzz/a_anchor.yaml": "d: unknown key",
    "fuzz/b_dup.yaml": "line 3: not valid YAML: duplicate key 'rate'",
    "fuzz/e_date.yaml": "adapters[0].name: 2024-05-01 can be read as a date: put quotes around text",
    "fuzz/f_int.yaml": "adapters[0].name: 1234 is not text: put quotes around it",
    "fuzz/g_null.yaml": "adapters[0].name: null is not text: put quotes around it",
    "fuzz/i_thou.yaml": "adapters[0].rate: '1,000' is not a number",
    "fuzz/j_inf.yaml": "adapters[0].rate: inf is not valid",
    "fuzz/k_nan.yaml": "adapters[0].rate: nan is not valid",
    "fuzz/l_huge.yaml": "adapters[0].rate: 1000000000000.0 must be at most 1e+06",
    "fuzz/n_tab.yaml": "line 3: not valid YAML: ",
    "fuzz/s_neg.yaml": "adapters[0].rate: -1 must be at least 0",
    "fuzz/u_empty.yaml": "adapters: lists no adapter",
    "fuzz/v_multi.yaml": "line 4: not valid YAML: another document begins",
    "fuzz/w_list.yaml": "expected a mapping of fields, found a list",
    "fuzz/z10.csv": "line 3: name: 'a\\nb' has a line break",
    "fuzz/z1_comma.csv": "line 3: rate: '1,5' is not a number; write 1.5",
    "fuzz/z4_extra.csv": "requests per day: unknown column",
    "fuzz/z5_case.csv": "name: missing column",
    "fuzz/z6_pct.csv": "line 2: rate: '5%' is not a number",
    "fuzz/z9_utf16.csv": "cannot be read: it is text in UTF-16; save it as UTF-8",
    "hostile/badbin.yaml": "line 3: not valid YAML: '!!binary' is not a tag allowed here",
    "hostile/badbool.yaml": "line 3: not valid YAML: 'foo' is no !!bool",
    "hostile/baddate.yaml": "seed: 2026-13-45 can be read as a date",
    "hostile/badfloat.yaml": "line 3: not valid YAML: 'foo' is no !!float",
    "hostile/badint.yaml": "line 3: not valid YAML: 'foo' is no !!int",
    "hostile/badts.yaml": "line 3: not valid YAML: '!!timestamp' is not a tag allowed here",
    "hostile/bomb.yaml": "line 7: holds more than 5,000,000 values",
    "hostile/bomb_duration.yaml": "line 2: holds more than 5,000,000 values",
    "hostile/c_conf9.yaml": "planning.constraints.pinned.a: '' is not valid",
    "hostile/deep2000.yaml": "line 3: cannot be read: its lists or mappings are nested too deeply",
    "hostile/dupkey.yaml": "line 5: not valid YAML: duplicate key 'duration'",
    "hostile/empty.yaml": "the file is empty",
    "hostile/hugeint.json": "seed: a number of 5,000 characters is too long",
    "hostile/hugeint.yaml": "line 3: a number of 5,000 characters is too long",
    "hostile/lencv.yaml": "lengths.input_cv: 100 must be at most 10",
}


def case(name):
    """Return a file of the cases; skip the test without it."""
    if not (CASES / name).is_file():
        pytest.skip(f"needs {CASES / name}")
    return CASES / name


@pytest.mark.parametrize("name", READ)
def test_what_people_mean_is_read(name):
    assert [(each.name, each.rank, each.rate) for each in read_fleet(case(name)).adapters] == READ[name]


@pytest.mark.parametrize("name", REFUSED)
def test_what_nobody_can_mean_is_refused(name):
    with pytest.raises(SpecError) as error:
        read_fleet(case(name))
    assert str(error.value).startswith(f"{CASES / name}: {REFUSED[name]}")
    assert len(str(error.value)) < 1000


def test_every_other_file_is_read_or_refused():
    files = sorted(path for folder in ("fuzz", "hostile") for path in (CASES / folder).glob("*"))
    if not files:
        pytest.skip(f"needs {CASES}")
    for path in files:
        said = refusal(path)
        assert said is None or re.match(re.escape(f"{path}: "), said)


def refusal(path):
    """Return the error of reading a fleet, or None."""
    try:
        read_fleet(path)
    except SpecError as error:
        return str(error)
    return None
