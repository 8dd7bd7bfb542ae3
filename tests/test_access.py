"""Who may come in follows from the settings and from Streamlit's secrets, and fails closed."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from core import access as module
from core.access import Visitors, access_of, auth_section, check_sign_in, is_loopback, new_visitor
from core.errors import OpenAddressError, SignInSettingsError
from core.settings import Settings

EVERYWHERE = "0.0.0.0"  # noqa: S104
SECRETS = '[auth]\nredirect_uri = "https://leuko.example/oauth2callback"\n'


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Give an empty home, and let nothing else be looked at."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "PROJECT_ROOT", tmp_path)
    monkeypatch.delenv("STREAMLIT_SECRETS_FILES", raising=False)
    (tmp_path / ".streamlit").mkdir()
    return tmp_path


def settings(**changed):
    return Settings(_env_file=None, **changed)


def test_no_secrets_are_no_sign_in(home):
    assert auth_section() is None
    (home / ".streamlit" / "secrets.toml").write_text('[other]\nkey = "x"\n')
    assert auth_section() is None


def test_the_section_is_found_where_streamlit_looks(home, monkeypatch):
    (home / ".streamlit" / "secrets.toml").write_text(SECRETS)
    assert auth_section() == {"redirect_uri": "https://leuko.example/oauth2callback"}
    (home / ".streamlit" / "secrets.toml").unlink()
    elsewhere = home / "mounted.toml"
    elsewhere.write_text(SECRETS)
    (home / ".streamlit" / "config.toml").write_text(f'[secrets]\nfiles = ["{elsewhere}"]\n')
    assert auth_section()
    (home / ".streamlit" / "config.toml").unlink()
    monkeypatch.setenv("STREAMLIT_SECRETS_FILES", str(elsewhere))
    assert auth_section()
    folder = home / "folder"
    (folder / "auth").mkdir(parents=True)
    (folder / "auth" / "client_id").write_text("leuko\n")
    monkeypatch.setenv("STREAMLIT_SECRETS_FILES", str(folder))
    assert auth_section() == {"client_id": "leuko"}


@pytest.mark.parametrize("damaged", ["[auth", 'auth = "text"', "\x00"])
def test_damaged_secrets_close_the_server(home, damaged):
    (home / ".streamlit" / "secrets.toml").write_text(damaged)
    access = access_of(settings(), auth_section())
    assert access.sign_in
    assert access.tokens


AUTH = {
    "redirect_uri": "https://leuko.example/oauth2callback",
    "cookie_secret": 32 * "x",
    "client_id": "leuko",
    "client_secret": "secret",
    "server_metadata_url": "https://id.example/.well-known/openid-configuration",
}


def test_a_whole_section_or_none_is_fine():
    check_sign_in(None)
    check_sign_in(AUTH)


@pytest.mark.parametrize(
    ("auth", "why"),
    [
        ({}, "damaged"),
        ({"redirect_uri": "x", "client_id": ""}, "`cookie_secret`, `client_id`, `client_secret`"),
        ({"provider": AUTH}, "`redirect_uri`"),
        (AUTH | {"cookie_secret": 31 * "x"}, "forged"),
        *[({key: AUTH[key] for key in AUTH if key != name}, f"`{name}`") for name in AUTH],
    ],
)
def test_a_sign_in_that_would_fail_or_could_be_forged_is_refused(auth, why):
    with pytest.raises(SignInSettingsError, match=why):
        check_sign_in(auth)


def test_the_address_of_single_sign_on_names_host_and_scheme():
    access = access_of(settings(), {"redirect_uri": "https://leuko.example:8443/oauth2callback"})
    assert "leuko.example" in access.hosts
    assert access.origins == {"https://leuko.example:8443"}
    assert access.https
    assert not access_of(settings(), {"redirect_uri": "http://localhost:8501/x"}).https


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        (EVERYWHERE, False),
        ("::", False),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("localhost.evil.example", False),
        ("", False),
        (None, False),
    ],
)
def test_only_loopback_is_served_with_nothing_set(host, loopback):
    assert is_loopback(host) == loopback
    access = access_of(settings(), None)
    if loopback:
        access.check_address(host)
    else:
        with pytest.raises(OpenAddressError, match="LEUKOSCOPE_OPEN_ACCESS=true"):
            access.check_address(host)


def test_other_machines_get_what_is_protected_or_plainly_open():
    def served(auth=None, **changed):
        access = access_of(settings(**changed), auth)
        access.check_address(EVERYWHERE)
        return access.serves_others("/"), access.serves_others("/api/patients")

    assert served(auth={}) == (True, True)
    assert served(api_tokens=True) == (False, True)
    assert served(admins={"ana@lab"}) == (False, True)
    assert served(open_access=True) == (True, True)
    assert served(auth={}, api_tokens=False) == (True, False)
    assert access_of(settings(open_access=True), None).open_to_all
    assert not access_of(settings(open_access=True), {}).open_to_all


@pytest.mark.parametrize("host", ["https://leuko.example", "leuko.example:8501", "*", ""])
def test_hosts_are_names(host):
    with pytest.raises(ValidationError, match="without scheme"):
        settings(hosts={host})


def test_a_sign_in_holds_for_a_month_at_most():
    assert access_of(settings(session_hours=2), {}).session == timedelta(hours=2)
    with pytest.raises(ValidationError):
        settings(session_hours=721)


def test_browsers_are_admitted_until_a_time_and_may_be_dismissed():
    visitors, user, reader = Visitors(), new_visitor(), new_visitor()
    later = datetime.now(UTC) + timedelta(minutes=1)
    visitors.admit(user, later, "fetch", "send", sign_in="one")
    visitors.admit(reader, later, "fetch")
    visitors.admit("guessed", later, "fetch", "send")
    assert visitors.may(user, "fetch")
    assert visitors.may(user, "send")
    assert visitors.may(reader, "fetch")
    assert not visitors.may(reader, "send")
    for nobody in (None, "", "guessed", new_visitor()):
        assert not visitors.may(nobody, "fetch")
    elsewhere = new_visitor()  # its cookie was copied
    visitors.admit(elsewhere, later, "fetch", "send", sign_in="one")
    visitors.dismiss("one")
    assert not any(visitors.may(name, "fetch") for name in (user, elsewhere))
    assert visitors.may(reader, "fetch")
    visitors.admit(user, datetime.now(UTC) - timedelta(seconds=1), "send")
    assert not visitors.may(user, "send")
