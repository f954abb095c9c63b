"""Adapters from a CSV file, with errors that name file, line and column."""

import pytest

from adaptwin import Adapter, Lengths, SpecError, Template
from adaptwin.workload.sources.adapters_csv import read_adapter_rates, read_adapters_csv


@pytest.fixture
def csv_file(tmp_path):
    """Return a function that writes text to a CSV file and returns its path."""

    def write(text, encoding="utf-8"):
        path = tmp_path / "adapters.csv"
        path.write_text(text, encoding=encoding)
        return path

    return write


def test_three_columns_are_enough(csv_file):
    assert read_adapters_csv(csv_file("name,rank,rate\na,8,0.1\nb,16,5e-2\n")) == (
        Adapter("a", 8, 0.1),
        Adapter("b", 16, 0.05),
    )


def test_columns_come_in_any_order_and_the_optional_ones_become_fields(csv_file):
    text = "rate,name,slo_itl_ms,rank,artifact,input_mean,output_mean,slo_ttft_ms\n0.5,a,50,32,/a,300,200,1500\n"
    lengths = Lengths.lognormal(input_mean=300, input_cv=1.0, output_mean=200, output_cv=1.0)
    assert read_adapters_csv(csv_file(text)) == (
        Adapter("a", 32, 0.5, artifact="/a", lengths=lengths, slo_ttft=1.5, slo_itl=0.05),
    )


@pytest.mark.parametrize("column", ["base", "base_model"])
def test_the_base_model_has_a_column_which_may_have_its_former_name(csv_file, column):
    found = read_adapters_csv(csv_file(f"name,rank,rate,{column}\na,8,0.1,Qwen/Qwen2.5-7B\nb,8,0.1,\n"))
    assert [adapter.base for adapter in found] == ["Qwen/Qwen2.5-7B", None]


def test_a_column_under_its_present_and_its_former_name_is_refused(csv_file):
    with pytest.raises(SpecError, match="base_model: is the former name of base: give one of these columns"):
        read_adapters_csv(csv_file("name,rank,rate,base,base_model\na,8,0.1,x,y\n"))


def test_empty_cells_of_optional_columns_are_absent(csv_file):
    text = "name,rank,rate,input_mean,output_mean,artifact,slo_ttft_ms,slo_itl_ms\na,8,0.1,,,,,\nb,8,0.2\n"
    assert read_adapters_csv(csv_file(text)) == (Adapter("a", 8, 0.1), Adapter("b", 8, 0.2))


def test_rank_0_is_traffic_to_the_base_model(csv_file):
    assert read_adapters_csv(csv_file("name,rank,rate\nbase,0,3\n"))[0].rank == 0


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_spaces_quotes_blank_lines_and_byte_order_marks_are_ignored(csv_file, encoding):
    text = 'name, rank ,rate\n\n"Zoë, v2", 8 ,0.1\n   \nb,16.0,1\n'
    adapters = read_adapters_csv(csv_file(text, encoding))
    assert [(adapter.name, adapter.rank) for adapter in adapters] == [("Zoë, v2", 8), ("b", 16)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("name,rank,rate\n", "has no rows"),
        ("name,rate\na,0.1\n", "rank: missing column (needed: name,rank,rate; found: name,rate)"),
        ("name,rank,rate,speed\na,8,1,2\n", "speed: unknown column (allowed: name,rank,rate,input_mean,"),
        ("name,rank,rate,rate\na,8,1,2\n", "line 1: duplicate column 'rate'"),
        ("name,rank,rate\na,8,fast\n", "line 2: rate: 'fast' is not a number"),
        ("name,rank,rate\na,8,nan\n", "line 2: rate: 'nan' is not a finite number"),
        ("name,rank,rate\na,8,inf\n", "line 2: rate: 'inf' is not a finite number"),
        ("name,rank,rate\na,8,1\nb,8,-0.5\n", "line 3: rate: -0.5 must be at least 0"),
        ("name,rank,rate\na,8,\n", "line 2: rate: missing"),
        ("name,rank,rate\n,8,1\n", "line 2: name: missing"),
        ("name,rank,rate\na,8,0.1,7\n", "line 2: has 4 cells, but the header names 3 columns"),
        ("name,rank,rate\n\na,600,0.1\n", "line 3: rank: 600 is above 512, the highest that vLLM serves (1, 8, 16, "),
        ("name,rank,rate\na,8.5,0.1\n", "line 2: rank: '8.5' is not a whole number"),
        ("name,rank,rate\na,8,1\nb,8,1\na,16,1\n", "line 4: name: duplicate name 'a': lines 2 and 4"),
        ("name,rank,rate,slo_ttft_ms\na,8,1,0\n", "line 2: slo_ttft_ms: 0 must be above 0"),
        ("name,rank,rate,slo_itl_ms\na,8,1,soon\n", "line 2: slo_itl_ms: 'soon' is not a number"),
        (
            "name,rank,rate,input_mean,output_mean\na,8,1,0.5,9\n",
            "line 2: input_mean: 0.5 must be at least 1",
        ),
        (
            "name,rank,rate,input_mean,output_mean\na,8,1,300,\n",
            "output_mean: missing, but input_mean is given",
        ),
        (
            "name,rank,rate,input_mean,output_mean\na,8,1,,300\n",
            "input_mean: missing, but output_mean is given",
        ),
        ("name,rank,rate,output_mean\na,8,1,300\n", "input_mean: missing, but output_mean is given"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(csv_file, text, message):
    path = csv_file(text)
    with pytest.raises(SpecError) as caught:
        read_adapters_csv(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"none\.csv: no such file"):
        read_adapters_csv(tmp_path / "none.csv")


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "binary.csv"
    path.write_bytes(b"name,rank,rate\n\xff\xfe,8,1\n")
    with pytest.raises(SpecError, match="cannot be read"):
        read_adapters_csv(path)


def test_an_oversized_cell_is_refused_with_its_line(csv_file):
    with pytest.raises(SpecError, match="line 2: not valid CSV: field larger"):
        read_adapters_csv(csv_file(f"name,rank,rate\n{'x' * 200_000},8,1\n"))


def test_ten_thousand_adapters(csv_file):
    rows = "".join(f"adapter-{i},16,0.01,300,200,/weights/{i},1500,50\n" for i in range(10_000))
    path = csv_file(f"name,rank,rate,input_mean,output_mean,artifact,slo_ttft_ms,slo_itl_ms\n{rows}")
    assert [adapter.name for adapter in read_adapters_csv(path)] == [f"adapter-{i}" for i in range(10_000)]


def test_rates_by_name_need_two_columns_and_ignore_others(csv_file):
    assert read_adapter_rates(csv_file("name,rank,rate\na,8,0.1\nb,16,2\n")) == {"a": 0.1, "b": 2.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\na\n", "rate: missing column"),
        ("name,rate\n", "has no rows"),
        ("name,rate\na,-1\n", "line 2: rate: -1 must be at least 0"),
        ("name,rate\na,1\na,2\n", "line 3: name: duplicate name 'a': lines 2 and 3"),
    ],
)
def test_wrong_rates_are_named_with_their_place(csv_file, text, message):
    with pytest.raises(SpecError) as caught:
        read_adapter_rates(csv_file(text))
    assert message in str(caught.value)


def test_a_system_prompt_is_a_template_and_an_empty_cell_is_none(tmp_path):
    path = tmp_path / "adapters.csv"
    path.write_text("name,rank,rate,system_prompt\na,8,1,500\nb,8,1,\nc,8,1,0\n", encoding="utf-8")
    assert [adapter.templates for adapter in read_adapters_csv(path)] == [(Template(tokens=500),), None, ()]
    path.write_text("name,rank,rate,system_prompt\na,8,1,-5\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"line 2: system_prompt: -5 tokens must be from 0"):
        read_adapters_csv(path)
