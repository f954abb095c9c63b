"""PEFT: adapters from folders of LoRA weights, each with an adapter_config.json."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from adaptwin.errors import SpecError
from adaptwin.model_names import model_among, model_key
from adaptwin.workload.lora_support import ServedModel, named_with_reasons, not_applied, refusals
from adaptwin.workload.sources.peft_config import PeftConfig, read_peft_config
from adaptwin.workload.sources.peft_folders import CONFIG, FoundAdapter, FoundAdapters, find_adapters, shown
from adaptwin.workload.sources.peft_weights import CheckedWeights, check_weights
from adaptwin.workload.sources.text_links import followed, is_text_link
from adaptwin.workload.workload import Adapter

MOST_BAD_NAMED = 50  # adapters or folders in an error
TEXT_LINKS = "its files are links that were copied as text: restore them, as vLLM does not follow them"
_NOT_READ = CheckedWeights()


class PeftFolder(NamedTuple):
    """What folders of adapters hold: adapters that vLLM serves, and what is to be said about them and the others."""

    adapters: tuple[Adapter, ...]
    bad: dict[str, str]  # why a folder or file was left out that cannot be read or is damaged, by path
    skipped: dict[str, str]  # why an adapter was left out that vLLM does not serve, by name
    warnings: dict[str, str]  # what vLLM serves otherwise than it was trained, by name
    checkpoints: dict[str, tuple[int, ...]]  # steps of the checkpoints in a training run, by name
    taken: dict[str, int]  # step of the checkpoint that was taken, by name; without it, the final adapter was
    older: dict[str, tuple[str, ...]]  # snapshots in a cache of the hub beside the current one, by repository
    weights: dict[str, CheckedWeights]  # what was found in the weights, by name; empty if they were not checked


def adapters_from_peft(
    *folders: str | Path, rate: float | None = None, rates: Mapping[str, float] | None = None
) -> tuple[Adapter, ...]:
    """Return every adapter in folders and below them; see `read_peft_folder`, which can also leave some out."""
    return read_peft_folder(*folders, rate=rate, rates=rates).adapters


def read_peft_folder(
    *folders: str | Path,
    rate: float | None = None,
    rates: Mapping[str, float] | None = None,
    served: ServedModel | Sequence[ServedModel] | None = None,
    checkpoint: int | None = None,
    check: bool = False,
    skip_bad: bool = False,
    skip_unsupported: bool = False,
) -> PeftFolder:
    """Read every adapter in folders and below them, sorted by path and named after its own folder.

    Adapters in folders of the same name are named after their path below the folder that was given; those in a cache
    of the Hugging Face hub after their repository. Of a training run, the final adapter counts, or else the checkpoint
    with the highest step. The rank is the highest of ``r`` and every rank in ``rank_pattern``.

    Args:
        *folders: Folders, or files ``adapter_config.json``; links to folders are followed.
        rate: Requests per second of adapters that are not in `rates`.
        rates: Requests per second, by name.
        served: The model that will be served, and the version of vLLM; with several models, every adapter must name one
            of them as its base. Without it, all adapters must have the base
            model that most of them name, and they must suit every version.
        checkpoint: Step of the checkpoint to take of every training run.
        check: Look also at the weights: whether they are there and whole, and fit the configuration and the model.
        skip_bad: Leave out what cannot be read or is damaged. Otherwise it is an error.
        skip_unsupported: Leave out adapters that vLLM cannot serve. Otherwise they are an error.

    Raises:
        SpecError: An adapter cannot be read, or vLLM cannot serve it; the error names all of those. Or a rate is
            missing.
    """
    found = find_adapters(folders, checkpoint)
    configs, bad = _read_configs(found)
    models = _served_models(served, configs)
    served_for = {name: _served_for(config, models) for name, config in configs.items()}
    place_of = {each.name: each.folder for each in found.adapters}
    weights = {
        name: check_weights(place_of[name], config, served_for[name] or ServedModel())
        for name, config in configs.items()
        if check
    }
    bad |= {shown(place_of[name]): "; ".join(each.damages) for name, each in weights.items() if each.damages}
    intact = {name: config for name, config in configs.items() if not weights.get(name, _NOT_READ).damages}
    skipped = {
        name: "; ".join(reasons)
        for name, config in intact.items()
        if (reasons := [*_refusals(config, served_for[name]), *weights.get(name, _NOT_READ).refusals])
    }
    kept = {name: config for name, config in intact.items() if name not in skipped}
    problems = [
        _named_bad(bad) if bad and not (skip_bad and kept) else "",
        named_with_reasons(skipped, len(intact), models[0] if len(models) == 1 else ServedModel())
        if skipped and not (skip_unsupported and kept)
        else "",
    ]
    if any(problems):
        raise SpecError("; ".join(filter(None, problems)), file=folders[0] if len(folders) == 1 else None)
    rate_of = _adapter_rates(list(place_of), list(kept), rate, rates or {})
    return PeftFolder(
        adapters=tuple(_adapter(name, config, rate_of[name], place_of[name]) for name, config in kept.items()),
        bad=bad,
        skipped=skipped,
        warnings={
            name: told
            for name, config in kept.items()
            if (model := served_for[name]) and (told := _warnings(place_of[name], config, model))
        },
        checkpoints={each.name: each.checkpoints for each in found.adapters if each.checkpoints},
        taken={each.name: each.taken for each in found.adapters if each.taken is not None},
        older=found.older,
        weights={name: weights[name] for name in kept if check},
    )


def _read_configs(found: FoundAdapters) -> tuple[dict[str, PeftConfig], dict[str, str]]:
    """Return the configurations of adapters by name, and what cannot be read by path."""
    configs, bad = {}, dict(found.bad)
    for each in found.adapters:
        path = each.folder / CONFIG
        try:
            _require_good_name(each)
            configs[each.name] = read_peft_config(followed(path))
        except SpecError as error:
            bad[shown(path)] = ": ".join(filter(None, (error.field, error.message)))
    return configs, bad


def _require_good_name(found: FoundAdapter) -> None:
    """Raise `SpecError` if a fleet file cannot hold the name of an adapter."""
    if shown(found.name) != found.name or shown(found.folder) != str(found.folder):
        raise SpecError("the name of its folder is not valid UTF-8: rename it")
    Adapter(name=found.name, rank=0, rate=0.0, artifact=str(found.folder))


def _adapter(name: str, config: PeftConfig, rate: float, folder: Path) -> Adapter:
    return Adapter(
        name=name,
        rank=config.rank,
        rate=rate,
        artifact=str(folder),
        base=config.base_model,
        target_modules=config.target_modules,
        features=config.features,
    )


def _served_models(
    served: ServedModel | Sequence[ServedModel] | None, configs: Mapping[str, PeftConfig]
) -> list[ServedModel]:
    """Return the models that will be served; by default the base model that most adapters name."""
    if not served:
        return [ServedModel(name=_usual_base(configs))]
    return [served] if isinstance(served, ServedModel) else list(served)


def _served_for(config: PeftConfig, models: Sequence[ServedModel]) -> ServedModel | None:
    """Return the model that serves an adapter: the only one, or the one that it names as its base; None if none is."""
    if len(models) == 1:
        return models[0]
    by_name = {str(model.name): model for model in models}
    return by_name.get(model_among(config.base_model, by_name) or "")


def _refusals(config: PeftConfig, served: ServedModel | None) -> list[str]:
    """Return why vLLM cannot serve an adapter; empty if it can."""
    if config.refusal:
        return [config.refusal]
    if served is None:
        return [
            f"no profile serves its base model {config.base_model}"
            if config.base_model
            else "it names no base model, and the profiles have several"
        ]
    return refusals(config.base_model, config.target_modules, config.features, served)


def _warnings(folder: Path, config: PeftConfig, served: ServedModel) -> str:
    linked = TEXT_LINKS if is_text_link(folder / CONFIG) else ""
    return "; ".join(filter(None, (linked, config.warning, *not_applied(config.base_model, config.features, served))))


def _named_bad(bad: Mapping[str, str]) -> str:
    """Return the message that adapters or folders cannot be read, given the reasons by path."""
    told = [f"{path}: {reason}" for path, reason in list(bad.items())[:MOST_BAD_NAMED]]
    more = f" and {len(bad) - MOST_BAD_NAMED:,} more" if len(bad) > MOST_BAD_NAMED else ""
    what = "adapter or folder" if len(bad) == 1 else "adapters or folders"
    head = f"{len(bad):,} {what} cannot be read or used (--skip-bad goes on without)"
    return f"{head}: {', '.join(told)}{more}"


def _usual_base(configs: Mapping[str, PeftConfig]) -> str | None:
    """Return the base model that most adapters name; None if none does."""
    bases = [config.base_model for config in configs.values() if config.base_model]
    keys = Counter(map(model_key, bases))
    return max(bases, key=lambda base: keys[model_key(base)], default=None)


def _adapter_rates(
    names: Sequence[str], kept: Sequence[str], rate: float | None, rates: Mapping[str, float]
) -> dict[str, float]:
    """Return the rate of every adapter kept; raises `SpecError` for missing rates, or for unknown names in `rates`."""
    if unknown := [name for name in rates if name not in names]:
        are = "is not one" if len(unknown) == 1 else "are not among those"
        raise SpecError(f"{_listed(list(map(repr, unknown)))} {are} of the adapters found: {_listed(names)}", "rates")
    if missing := [name for name in kept if name not in rates and rate is None]:
        message = f"no rate for {_listed(list(map(repr, missing)))}: give one rate for all adapters, or one for each"
        raise SpecError(message, "rates" if rates else "rate")
    return {name: rates[name] if rate is None else rates.get(name, rate) for name in kept}


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" ... ({len(names)} in all)" if len(names) > 8 else "")
