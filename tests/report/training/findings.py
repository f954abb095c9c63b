"""A training with numbers made by hand, so that its report needs no data and no scikit-learn to be tested."""

import math

import polars as pl

from adaptwin.profile.profile import load_profile
from adaptwin.surrogate.features import Features
from adaptwin.surrogate.findings import CurvePoint, Findings, Importance, RegimeLine, Reliability, ScoreLine
from adaptwin.surrogate.model_tree import Leaf, ModelTree
from adaptwin.surrogate.outputs import NAMES
from adaptwin.surrogate.region import Region
from adaptwin.surrogate.score import ScoreWithInterval
from adaptwin.surrogate.surrogate import OverloadThresholds, Surrogate

LLAMA, QWEN = "h100-64gb-llama-3.1-8b-instruct", "h100-64gb-qwen-2.5-7b-instruct"
NAN = math.nan


def scores(throughput: float = 3.1, starvation: float = 0.956) -> list[ScoreLine]:
    """Of one profile: two errors, one of them without an interval, and an F1."""
    return [
        ScoreLine(
            "throughput, mean error", "%", ScoreWithInterval(2.4, 2.2, 2.6), ScoreWithInterval(throughput, 2.9, 3.3)
        ),
        ScoreLine("mean ITL, mean error", "%", ScoreWithInterval(4.5, 4.2, 4.7), ScoreWithInterval(5.9, 5.6, 6.3)),
        ScoreLine("ITL p99, median error", "%", ScoreWithInterval(7.8, NAN, NAN), ScoreWithInterval(10.7, NAN, NAN)),
        ScoreLine(
            "starvation, F1", "", ScoreWithInterval(0.966, 0.957, 0.974), ScoreWithInterval(starvation, 0.948, 0.963)
        ),
    ]


REGIMES = [
    RegimeLine("utilisation", "0 to 0.1", 4000, 0.7, 4.5, 11.6, 0.04, 0.12),
    RegimeLine("utilisation", "above 1.5", 300, 13.9, 12.0, 55.3, 0.0, 1.0),
    RegimeLine("adapters", "0 to 0.1", 29, 99.0, 99.0, 99.0, 0.99, 0.5),  # too few runs to be called the weakest
    RegimeLine("adapters", "above 300", 700, 5.9, 17.8, 92.6, 0.084, 0.52),
]


def make_findings(**changes: object) -> Findings:
    """Findings for two profiles, with changes."""
    findings = Findings(
        scores={LLAMA: scores(), QWEN: scores(throughput=2.7, starvation=0.931)},
        regimes=REGIMES,
        curve=[CurvePoint(50, 8.0, 11.0, 0.77), CurvePoint(100, 5.0, 9.0, 0.91), CurvePoint(200, 4.0, 7.0, 0.94)],
        importances=[Importance(name, 1.2 / n, 0.6 / n, 0.3 / n) for n, name in enumerate(Features._fields, 1)],
        reliability=[Reliability(0.02, 0.03, 3000), Reliability(0.5, 0.47, 100), Reliability(0.98, 0.97, 3400)],
        sample=pl.DataFrame(
            {
                "profile": [LLAMA, LLAMA, QWEN, QWEN],
                "worst": ["ok", "starved", "ok", "backlogged"],
                "twin_throughput": [3000.0, 5000.0, 0.0, 8000.0],
                "predicted_throughput": [3100.0, 4000.0, 10.0, 8100.0],
                "twin_itl_mean": [0.020, 0.080, NAN, 0.040],
                "predicted_itl_mean": [0.021, 0.070, 0.030, 0.044],
                "twin_ttft_p50": [0.050, 600.0, 0.1, 20.0],
                "predicted_ttft_p50": [0.055, 90.0, 0.1, 40.0],
            }
        ),
        unsure=0.64,
    )
    return findings._replace(**changes)


def leaf(constant: float, rows: int, weights: dict[str, float] | None = None, *, low: float, high: float) -> Leaf:
    return Leaf(constant=constant, weights=weights or {}, low=low, high=high, rows=rows)


def split(feature: str, threshold: float, left: Leaf, right: Leaf) -> ModelTree:
    """A tree that asks one question."""
    return ModelTree(
        features=(feature, "", ""), thresholds=(threshold, 0.0, 0.0), right=(2, 0, 0), leaves=(left, right)
    )


# The middle of the training data has 64 adapters: ln 65 on the scale of the feature.
STARVATION = split(
    "utilisation",
    math.log(0.93),
    leaf(-7.0, 900, low=-8.0, high=-3.0),
    leaf(math.log(49.0) - 0.5 * math.log(65.0), 100, {"adapters": 0.5, "pace": 1e-4}, low=0.0, high=8.0),
)
ITL = split(
    "burstiness",
    math.log(2.0),
    leaf(math.log(1.07), 300, low=-0.2, high=0.3),
    leaf(0.5, 700, low=0.4, high=0.6),
)
SHARE = split(
    "is_async",
    0.5,
    leaf(0.97, 600, low=0.5, high=1.1),
    leaf(0.9, 400, {"slots_full": -0.3}, low=0.0, high=1.0),
)
TREES = dict.fromkeys(NAMES, ITL) | {"starvation": STARVATION, "overload": STARVATION, "worst_share": SHARE}


def make_surrogate(profile: str = LLAMA, **trees: ModelTree) -> Surrogate:
    """Trees of two leaves each, in a region in which every feature lies between 0 and 8."""
    count = len(Features._fields)
    middle = {"adapters": math.log(65.0)}
    return Surrogate(
        profile=load_profile(profile),
        trained_on=(profile,),
        source="1,000 runs of 250 mixes, adaptwin 0.1.0",
        windows=(900.0, 3600.0),
        region=Region(
            features=Features._fields,
            low=(0.0,) * count,
            high=(8.0,) * count,
            mean=tuple(middle.get(name, 1.0) for name in Features._fields),
            whitening=tuple((0.0,) * i + (1.0,) for i in range(count)),
            farthest=100.0,
        ),
        sure=OverloadThresholds(below=0.0088, above=0.99),
        trees=dict.fromkeys(NAMES, ITL)
        | {"starvation": STARVATION, "overload": STARVATION, "worst_share": SHARE}
        | trees,
    )


def make_surrogates() -> dict[str, Surrogate]:
    return {name: make_surrogate(name) for name in (LLAMA, QWEN)}
