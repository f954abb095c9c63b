"""Template: what prompts of an adapter begin with, such as a system prompt."""

from collections.abc import Sequence

from pydantic import Field

from adaptwin.errors import SpecError
from adaptwin.quantities import Fraction, parse_share
from adaptwin.spec import Spec
from adaptwin.workload.lengths import MAX_TOKENS

_ROUNDING_OF_SHARES = 1e-9


class Template(Spec):
    """The first tokens that some prompts of an adapter have in common: a system prompt, or the text of a template.

    Prompt lengths include these tokens, as those in logs do. A prompt that is not longer does not begin with them.
    """

    tokens: int = Field(ge=1, le=MAX_TOKENS, description="tokens that the prompts have in common")
    share: Fraction = Field(default=1.0, gt=0, le=1, description="share of the adapter's requests that begin so")


def parse_template(text: str) -> Template:
    """Parse ``500``, or ``500:0.8`` or ``500:80%`` for 80 % of the requests of a command line; raises `SpecError`."""
    tokens, _, share = text.partition(":")
    try:
        return Template(tokens=int(tokens), share=parse_share(share) if share else 1.0)
    except SpecError as error:
        raise SpecError(f"{text!r}: {error}", "system_prompt") from None
    except ValueError:
        raise SpecError(
            f"{text!r} is neither a number of tokens (500) nor one with a share (500:0.8, 500:80%)", "system_prompt"
        ) from None


def require_shares(templates: Sequence[Template] | None) -> None:
    """Raise `ValueError` if templates have more requests together than an adapter has."""
    total = sum(template.share for template in templates or ())
    if total > 1.0 + _ROUNDING_OF_SHARES:
        raise ValueError(f"the shares add up to {total:g}, over 1")
