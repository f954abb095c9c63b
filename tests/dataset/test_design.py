"""Design: drawing from it, its file form, and errors."""

import itertools
import math
import sys
from collections import Counter

import pytest
import yaml
from tests.dataset.designs import LLAMA, TINY, mixes_of, tiny

from adaptwin import SpecError
from adaptwin.dataset.design import Design, Range, absolute_rates, load_design
from adaptwin.dataset.design_profiles import design_profiles, profile_place
from adaptwin.dataset.mix import make_mix
from adaptwin.dataset.shipped_designs import shipped_designs

RATES = (3.2, 1.6, 0.8, 0.4, 0.1, 0.05, 0.025, 0.0125, 0.00625, 0.003125)  # of arXiv 2602.24044


# Shipped designs


@pytest.mark.parametrize("name", shipped_designs())
def test_every_shipped_design_can_be_read_and_its_mixes_made(name):
    design = load_design(name)
    profiles = design_profiles(design)
    values = design.values()
    assert len(values) > 20_000
    sample = [make_mix(design, profiles[profile_place(design, i)], i, values[i]) for i in range(0, len(values), 1999)]
    made = [mix for mix in sample if mix is not None]
    assert len(made) > len(sample) / 4
    assert all(mix.workload.rate > 0 for mix in made)


@pytest.mark.parametrize("name", shipped_designs())
def test_a_design_that_is_written_is_read_back_as_it_was(name, tmp_path):
    load_design(name).write(tmp_path / "design.yaml")
    assert load_design(tmp_path / "design.yaml") == load_design(name)


def test_the_paper_has_all_triples_of_its_ten_rates():
    triples = [absolute_rates(popularity) for popularity in load_design("paper").popularity]
    assert triples == list(itertools.combinations(RATES, 3))
    assert len(triples) == 120


def test_the_paper_has_51120_rows():
    # With every number of slots there are as many numbers of adapters as are not below it: 11 with 8 slots, 10 with
    # 16, ... 1 with 384. Of the 60 GiB that vLLM may use, 37.5 are left for slots and KV cache, and 16 of them go to
    # one request of 131,072 tokens. A slot takes 50 MiB at rank 8, 94 at 16 and 182 at 32, so all 384 slots start at
    # rank 8, 234 at rank 16 and 121 at rank 32: 66, 11 + ... + 4 = 60 and 11 + ... + 7 = 45 pairs of slots and
    # adapters. One of the eight mixes of ranks ends at 8, three at 16, four at 32. All that for each of 120 triples.
    paper = load_design("paper")
    of_one_triple = [m for m in mixes_of(paper.model_copy(update={"popularity": paper.popularity[:1]})) if m]
    counts = Counter(max(mix.values["ranks"]) for mix in of_one_triple)
    assert counts == {8: 66, 16: 3 * 60, 32: 4 * 45}
    assert len(of_one_triple) * len(paper.popularity) * paper.loads == 51_120
    assert len(paper.values()) == 11 * 11 * 8 * 120


# Drawing


def test_a_grid_has_all_valid_combinations():
    alike = {"ranks": ((8,),), "popularity": ("uniform",)}
    design = tiny(sampler="grid", adapters=(1, 2, 8), max_loras=(1, 2, 4), utilisation=(0.5, 2.0), **alike)
    made = [(m.values["adapters"], m.values["max_loras"], m.values["utilisation"]) for m in mixes_of(design) if m]
    sensible = [(1, 1), (2, 1), (2, 2), (8, 1), (8, 2), (8, 4)]
    assert sorted(made) == [(*pair, load) for pair in sensible for load in (0.5, 2.0)]
    assert design.varying == ["adapters", "utilisation", "max_loras"]


def test_a_value_listed_twice_is_drawn_twice_as_often():
    design = tiny(mixes=1024, popularity=("uniform", "uniform", "zipf:1"), async_scheduling=(False, False, False, True))
    drawn = Counter((values["popularity"], values["async_scheduling"]) for values in design.values())
    for popularity, is_async, share in (("uniform", False, 1 / 2), ("zipf:1", False, 1 / 4), ("zipf:1", True, 1 / 12)):
        assert drawn[popularity, is_async] == pytest.approx(1024 * share, abs=8)


@pytest.mark.parametrize(("sampler", "off"), [("sobol", 0), ("lhs", 0), ("random", 30)])
def test_a_range_is_filled_evenly(sampler, off):
    design = tiny(sampler=sampler, mixes=512, utilisation=Range(low=0.01, high=100.0, log=True), base_share=(0.1, 0.2))
    decades = Counter(math.floor(math.log10(values["utilisation"])) for values in design.values())
    assert decades.keys() == {-2, -1, 0, 1}
    assert all(abs(count - 128) <= off for count in decades.values())


def test_fewer_sobol_mixes_are_the_first_of_more():
    assert tiny(mixes=100).values()[:13] == tiny(mixes=13).values()


def test_mixes_depend_on_the_seed():
    first, again, other = (tiny(seed=seed, mixes=5).values() for seed in (1, 1, 2))
    assert first == again != other


def test_where_nothing_varies_all_mixes_have_the_same_values():
    for sampler in ("sobol", "lhs", "random"):
        one_of_each = {"adapters": (2,), "ranks": ((8,),), "popularity": ("uniform",), "utilisation": (1.0,)}
        design = tiny(sampler=sampler, mixes=3, max_loras=(1,), **one_of_each)
        first, *others = design.values()
        assert others == [first, first]
        assert len({mix.workload.seed for mix in mixes_of(design)}) == 3


def test_numbers_of_a_range_lie_between_its_ends():
    assert [Range(low=2, high=6).at(share) for share in (0, 0.25, 1)] == [2, 3, 6]
    assert [Range(low=1, high=100, log=True).at(share) for share in (0, 0.5, 1)] == pytest.approx([1, 10, 100])


@pytest.mark.parametrize(
    ("lengths", "asked"),
    [
        (("sharegpt",), []),
        (("fixed",), ["input_mean", "output_mean"]),
        (("sharegpt", "fixed"), ["input_mean", "output_mean"]),
        (("lognormal",), ["input_mean", "output_mean", "length_cv"]),
        (("fixed", "several"), ["input_mean", "output_mean", "length_cv"]),
    ],
)
def test_means_of_lengths_vary_only_where_lengths_need_them(lengths, asked):
    design = tiny(lengths=lengths, input_mean=Range(low=10, high=20), output_mean=(10, 20))
    assert [name for name in design.varying if name in ("input_mean", "output_mean", "length_cv")] == asked


def test_a_grid_needs_no_scipy_and_a_sampler_names_it_if_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.stats", None)  # makes the import of this module fail
    fixed = {"utilisation": (1.0,), "max_loras": (1,)}
    assert len(tiny(sampler="grid", **fixed).values()) == 3 * 3 * 3
    assert len(tiny(sampler="random").values()) == 7
    with pytest.raises(SpecError, match=r"^sampler: lhs needs SciPy: pip install 'adaptwin\[train\]'$"):
        tiny(sampler="lhs").values()


# Files


def test_profiles_are_looked_for_beside_the_design(tmp_path, monkeypatch):
    (tmp_path / "designs").mkdir()
    monkeypatch.chdir(tmp_path)
    text = yaml.safe_dump({"profiles": [LLAMA, "own.yaml"]})
    (tmp_path / "designs" / "d.yaml").write_text(text, encoding="utf-8")
    assert load_design("designs/d.yaml").profiles == (LLAMA, str(tmp_path / "designs" / "own.yaml"))


def test_a_design_that_is_neither_shipped_nor_a_file_is_refused():
    with pytest.raises(SpecError, match=r"^design: 'nope' is neither a file nor one of paper, planning$"):
        load_design("nope")
    with pytest.raises(SpecError, match=r"^nope\.yaml: no such file$"):
        load_design("nope.yaml")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"adapters": 5}, "adapters: 5 is neither a list of values nor a range such as {low: 1, high: 9}"),
        ({"adapters": [0]}, "adapters: 0 must be from 1 to 100000"),
        ({"adapters": [2.5]}, "adapters[0]: 2.5 is not a whole number"),
        ({"adapters": ["few"]}, "adapters[0]: 'few' is not a whole number"),
        ({"adapters": []}, "adapters: needs at least one value"),
        ({"adapters": {"low": 9, "high": 1}}, "adapters: low 9 is above high 1"),
        ({"adapters": {"low": 0.2, "high": 1}}, "adapters: 0.2 must be from 1 to 100000"),
        ({"adapters": {"low": 1}}, "adapters.high: missing"),
        ({"adapters": {"low": 1, "high": 2, "step": 1}}, "adapters.step: unknown key (allowed: low, high, log)"),
        ({"ranks": [[8, 600]]}, "ranks: 600 is not a rank from 1 to 512"),
        ({"ranks": [[]]}, "ranks: each list needs at least one rank"),
        ({"ranks": [8]}, "ranks[0]: 8 is not valid: "),
        ({"popularity": ["pareto"]}, "popularity: 'pareto' is not a known popularity (uniform, dirichlet:0.5,"),
        ({"popularity": ["hot:2"]}, "popularity: 'hot:2': the share must be below 1"),
        ({"popularity": ["rates:1,x"], "utilisation": None}, "popularity: 'rates:1,x' must be rates: followed by"),
        ({"popularity": ["rates:-1"], "utilisation": None}, "popularity: 'rates:-1' must be rates: followed by"),
        ({"popularity": ["rates:1"]}, "popularity: rates:... needs utilisation null, all others need a utilisation"),
        ({"utilisation": None}, "popularity: rates:... needs utilisation null, all others need a utilisation"),
        ({"popularity": ["rates:1"], "utilisation": None}, "loads: 2 must be 1 if popularities are rates"),
        ({"utilisation": [0.5, 0]}, "utilisation: 0 must be from 1e-06 to 1000"),
        ({"utilisation": {"low": 0, "high": 1, "log": True}}, "utilisation: low 0 must be above 0 on a logarithmic"),
        ({"utilisation": [float("nan")]}, "utilisation: nan must be from"),
        ({"base_share": [1.0]}, "base_share: 1 must be from 0 to 0.99"),
        ({"lengths": ["long"]}, "lengths[0]: 'long' is not one of sharegpt, fixed, lognormal, several"),
        ({"input_mean": [0]}, "input_mean: 0 must be from 1 to 2500000"),
        ({"output_mean": {"low": 0.5, "high": 9}}, "output_mean: 0.5 must be from 1 to 2500000"),
        ({"length_cv": [-1]}, "length_cv: -1 must be from 0 to 100"),
        ({"arrivals": ["weibull"]}, "arrivals: 'weibull' is not a known arrival process"),
        ({"arrivals": ["rates:day.csv"]}, "arrivals: 'rates:day.csv': a design cannot use a file"),
        ({"duration": [0]}, "duration: 0 must be from 0.001"),
        ({"max_loras": [0]}, "max_loras: 0 must be from 1"),
        ({"max_loras": {"low": -1, "high": 1}}, "max_loras: -1 must be from 0"),
        ({"max_num_seqs": [0]}, "max_num_seqs: 0 must be from 1"),
        ({"max_num_batched_tokens": [0]}, "max_num_batched_tokens: 0 must be from 1"),
        ({"max_model_len": [None, 0]}, "max_model_len: 0 must be from 1"),
        ({"gpu_memory_utilization": [90]}, "gpu_memory_utilization: 90 must be from 0.01 to 1"),
        ({"sampler": "grid"}, "utilisation: a grid needs a list of values, not a range"),
        ({"sampler": "halton"}, "sampler: 'halton' is not one of grid, sobol, lhs, random"),
        ({"profiles": []}, "profiles: too few entries: 0 (at least 1 needed)"),
        ({"mixes": 0}, "mixes: 0 must be at least 1"),
        ({"boundary": 1.5}, "boundary: 1.5 must be at most 1"),
        ({"seed": -1}, "seed: -1 must be at least 0"),
        ({"most_requests": 10**9}, "most_requests: 1000000000 must be at most 1e+08"),
        ({"adaptres": [1]}, "adaptres: unknown key (allowed: profiles, sampler, mixes, loads, boundary, seed,"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_a_wrong_design_is_refused_by_its_field(tmp_path, fields, message):
    file = tmp_path / "d.yaml"
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in {**TINY, **fields}.items()}
    file.write_text(yaml.safe_dump(plain), encoding="utf-8")
    with pytest.raises(SpecError) as error:
        Design.read(file)
    assert str(error.value).startswith(f"{file}: {message}")


def test_the_design_that_these_fields_change_is_valid():
    assert len(tiny().values()) == 7
