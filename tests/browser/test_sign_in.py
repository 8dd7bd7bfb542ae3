"""Users sign in with an OpenID Connect provider; only those with an account get access."""

import json
import re

import pytest
from oidc_provider_mock import User, run_server_in_thread
from playwright.sync_api import Page, expect

from tests.browser.conftest import free_port, serving, visiting
from tests.browser.visits import open_page, upload

pytestmark = pytest.mark.browser

ADMIN, NEW_USER = "ada@lab.example", "ben@lab.example"
SECRETS = """[auth]
redirect_uri = "http://127.0.0.1:{port}/oauth2callback"
cookie_secret = "for this test only, and long enough"
client_id = "leukoscope"
client_secret = "not checked here"
server_metadata_url = "http://localhost:{provider}/.well-known/openid-configuration"
"""


CLAIMANTS = {
    "mallory": {"email": ADMIN, "email_verified": False},
    "mallet": {"email": ADMIN, "email_verified": "false"},
    "trudy": {"email": ADMIN, "email_verified": "true"},
    "entra": {"email": ADMIN},
    ADMIN: {},
    "local": {"name": "local", "preferred_username": ADMIN},
}
"""Claims of provider users without an account here, by subject."""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Serve the app with single sign-on, and a provider with users and claimants."""
    users = [
        User(sub=name.partition("@")[0], claims={"email": name, "email_verified": True})
        for name in (ADMIN, NEW_USER)
    ]
    users += [User(sub=subject, claims=claims) for subject, claims in CLAIMANTS.items()]
    port, folder = free_port(), tmp_path_factory.mktemp("sign_in")
    home = folder / "home"
    secrets = home / ".streamlit" / "secrets.toml"
    secrets.parent.mkdir(parents=True)
    with run_server_in_thread(user_claims=users) as provider:
        secrets.write_text(SECRETS.format(port=port, provider=provider.server_port))
        with serving(
            folder / "store", port=port, HOME=str(home), LEUKOSCOPE_ADMINS=json.dumps([ADMIN])
        ) as served:
            yield served


def provider_sign_in(page: Page, subject: str) -> None:
    page.route(re.compile("^https:"), lambda route: route.abort())  # the provider's own style sheet
    page.goto("/")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name=subject, exact=True).click()


def sign_in(page: Page, name: str) -> None:
    provider_sign_in(page, name.partition("@")[0])
    expect(page.get_by_text(f"Signed in: {name}")).to_be_visible()


def status(page: Page, path: str, **request: object) -> int:
    """Return the HTTP status of a request sent with the cookies of the page."""
    return page.request.fetch(path, **request).status


def test_a_new_user_works_once_an_admin_gives_a_role(browser, address):
    with visiting(browser, address) as new_user, visiting(browser, address) as admin:
        failed = []
        new_user.on("response", lambda answer: answer.status >= 400 and failed.append(answer.url))
        new_user.goto("/")
        expect(new_user.get_by_role("button", name="Sign in")).to_be_visible()
        assert failed == []  # the sign-in page loads completely
        provider_sign_in(new_user, NEW_USER.partition("@")[0])
        expect(new_user.get_by_text(f"{NEW_USER} has no account here.")).to_be_visible()

        sign_in(admin, ADMIN)
        open_page(admin, "Settings")
        admin.get_by_role("textbox", name="Name").fill(NEW_USER)
        admin.get_by_role("radio", name="reviewer").click()
        admin.get_by_role("button", name="Give role").click()
        expect(admin.get_by_text(f"{NEW_USER} is now reviewer.")).to_be_visible()

        new_user.reload()
        expect(new_user.get_by_text(f"Signed in: {NEW_USER}")).to_be_visible()
        open_page(new_user, "Patients")
        expect(new_user.get_by_text("Add a patient")).to_be_visible()


def test_a_sign_out_ends_the_other_tab_and_a_copied_cookie(browser, address, bccd_files):
    with visiting(browser, address) as page, visiting(browser, address) as thief:
        sign_in(page, ADMIN)
        open_page(page, "WBC count")
        upload(page, *bccd_files(0))  # the upload and the images use HTTP, not the WebSocket
        expect(page.get_by_role("heading", name="Differential")).to_be_visible()
        thief.context.add_cookies(page.context.cookies())
        thief.goto("/patients")
        expect(thief.get_by_text("Add a patient")).to_be_visible()
        other = page.context.new_page()
        other.goto("/")
        expect(other.get_by_text(f"Signed in: {ADMIN}")).to_be_visible()

        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("button", name="End session").click()  # on the provider's page
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        other.get_by_test_id("stSidebarNav").get_by_role("link", name="Patients").click()
        other.get_by_role("button", name="Sign in").click()
        expect(
            other.get_by_role("button", name=ADMIN.partition("@")[0], exact=True)
        ).to_be_visible()
        thief.get_by_text("Add a patient").click()  # still on screen, but without a session
        thief.get_by_test_id("stSidebarNav").get_by_role("link", name="Settings").click()
        expect(thief.get_by_role("button", name="Sign in")).to_be_visible()
        thief.reload()
        expect(thief.get_by_role("button", name="Sign in")).to_be_visible()
        expect(thief.get_by_text("Add a patient")).to_have_count(0)


@pytest.mark.parametrize("subject", CLAIMANTS)
def test_nobody_claims_an_account_that_is_not_theirs(browser, address, subject):
    with visiting(browser, address) as page:
        provider_sign_in(page, subject)
        expect(page.get_by_text(f"#{subject} has no account here.")).to_be_visible()
        for title in ("Patients", "WBC count"):
            page.get_by_test_id("stSidebarNav").get_by_role("link", name=title).click()
            expect(page).to_have_title(f"{title} · Leukoscope")
            expect(page.get_by_text("has no account here.")).to_be_visible()
            expect(page.locator("input[type=file]")).to_have_count(0)
        assert status(page, "/media/" + "a" * 56 + ".png") == 403
        assert status(page, "/_stcore/upload_file/1/2", method="PUT", data=b"x") == 403
        assert status(page, "/_stcore/metrics") == 403
        assert status(page, "/api/patients") == 401
