"""The page that asks a person for the token, which a browser then keeps as a cookie."""

from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from adaptwin.web.guard import COOKIE, SIGN_IN, is_token
from adaptwin.web.page_files import page
from adaptwin.web.services import UsedServices

sign_in_router = APIRouter(include_in_schema=False)
_KEPT = 30 * 86_400  # seconds


@sign_in_router.get(SIGN_IN)
def sign_in_page() -> Response:
    """Return the page that asks for the token."""
    return page("sign-in")


@sign_in_router.post(SIGN_IN)
async def sign_in(request: Request, services: UsedServices) -> Response:
    """Keep the token as a cookie, which no script can read, and other sites can use for no change."""
    token = services.settings.token
    given = parse_qs((await request.body()).decode("latin-1")).get("token", [""])[0].strip()
    if token is not None and not is_token(given.encode(), token):
        return RedirectResponse(f"{SIGN_IN}#wrong", 303)  # the part of the page that says so
    answer = RedirectResponse("/", 303)
    if token is not None:
        is_safe = request.url.scheme == "https"
        answer.set_cookie(COOKIE, token, max_age=_KEPT, httponly=True, samesite="lax", secure=is_safe)
    return answer
