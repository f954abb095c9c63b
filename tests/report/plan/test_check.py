from tests.report.reading import assert_fits, rendered

from adaptwin.placement.verification.verify import verify
from adaptwin.plan.check import Check
from adaptwin.report.plan.check import check_table


def test_a_verification_fits_80_columns_and_names_what_failed(plan, overloaded) -> None:
    short = plan.workload.model_copy(update={"duration": 120.0})
    light = verify(plan.model_copy(update={"workload": short.scaled(0.05)}), jobs=1)
    text = rendered(check_table(light))
    assert_fits(text)
    assert "The plan holds on 4 GPUs with seed 1" in text
    failed = Check([overloaded], plan.servers[:1], seed=3)
    text = rendered(check_table(failed))
    assert_fits(text)
    assert "does not hold on 1 GPU with seed 3" in text
    assert all(line in text for line in failed.failures)
