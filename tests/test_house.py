"""Module-level names: each is defined in one file only."""

import importlib.util
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[1] / "benchmarks" / "house.py"
ALLOWED = {  # exceptions, with the reason
    "export": "the package export calls the function of the same name, which it loads when it is first used",
    "AdapterSlots": "the reference and the kernel call the same thing by the same name",
    "Ledger": "the reference and the kernel",
    "Scheduler": "the reference and the kernel",
}


def test_every_module_level_name_is_defined_in_one_file():
    spec = importlib.util.spec_from_file_location("house", HOUSE)
    house = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(house)
    twice = house.names_in_several_files(house.SOURCE)
    assert {name: files for name, files in twice.items() if name not in ALLOWED} == {}
    assert set(ALLOWED) <= set(twice)
