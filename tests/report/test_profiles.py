import re

from tests.report.reading import assert_fits, rendered

from adaptwin.report.profiles import profiles_table


def test_profiles_fit_80_columns_and_an_unchecked_one_is_marked(plan) -> None:
    checked = plan.profiles[0]
    text = rendered(profiles_table([checked, checked.model_copy(update={"name": "other", "error": None})]))
    assert_fits(text)
    assert re.search(r"h100-64gb-llama-3.1-8b-instruct +0.8.5 +about 335,568 +2.1 % +4.3 % +216", text)
    assert re.search(r"^other .* none", text, re.MULTILINE)
