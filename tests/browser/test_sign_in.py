"""People sign in with an OpenID Connect provider; only those whom an admin let in see cases."""

import json
import re

import pytest
from oidc_provider_mock import User, run_server_in_thread
from playwright.sync_api import Page, expect

from tests.browser.conftest import free_port, serving, visiting
from tests.browser.visits import open_page

pytestmark = pytest.mark.browser

ADMIN, NEWCOMER = "ada@lab.example", "ben@lab.example"
SECRETS = """[auth]
redirect_uri = "http://127.0.0.1:{port}/oauth2callback"
cookie_secret = "for this test only, and long enough"
client_id = "leukoscope"
client_secret = "not checked here"
server_metadata_url = "http://localhost:{provider}/.well-known/openid-configuration"
"""


@pytest.fixture
def address(tmp_path):
    """Give the app with single sign-on, and a provider that knows two people."""
    people = [
        User(sub=name.partition("@")[0], claims={"email": name, "email_verified": True})
        for name in (ADMIN, NEWCOMER)
    ]
    port, home = free_port(), tmp_path / "home"
    secrets = home / ".streamlit" / "secrets.toml"
    secrets.parent.mkdir(parents=True)
    with run_server_in_thread(user_claims=people) as provider:
        secrets.write_text(SECRETS.format(port=port, provider=provider.server_port))
        with serving(
            tmp_path / "store", port=port, HOME=str(home), LEUKOSCOPE_ADMINS=json.dumps([ADMIN])
        ) as served:
            yield served


def sign_in(page: Page, name: str) -> None:
    page.route(re.compile("^https:"), lambda route: route.abort())  # the provider's own style sheet
    page.goto("/")
    open_page(page, "Patients")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name=name.partition("@")[0]).click()
    expect(page.get_by_text(f"Signed in: {name}")).to_be_visible()


def test_a_newcomer_waits_for_an_admin_and_then_works(browser, address):
    with visiting(browser, address) as newcomer, visiting(browser, address) as admin:
        sign_in(newcomer, NEWCOMER)
        open_page(newcomer, "Patients")
        expect(newcomer.get_by_text(f"{NEWCOMER} has no account here.")).to_be_visible()
        expect(newcomer.get_by_text("Add a patient")).to_have_count(0)

        sign_in(admin, ADMIN)
        open_page(admin, "Settings")
        admin.get_by_role("textbox", name="Name").fill(NEWCOMER)
        admin.get_by_role("radio", name="reviewer").click()
        admin.get_by_role("button", name="Give role").click()
        expect(admin.get_by_text(f"{NEWCOMER} is reviewer now.")).to_be_visible()

        newcomer.reload()
        expect(newcomer.get_by_text("Add a patient")).to_be_visible()
        newcomer.get_by_role("button", name="Sign out").click()
        newcomer.get_by_role("button", name="End session").click()  # on the provider's page
        open_page(newcomer, "Patients")
        expect(newcomer.get_by_role("button", name="Sign in")).to_be_visible()
        expect(newcomer.get_by_text("Add a patient")).to_have_count(0)
