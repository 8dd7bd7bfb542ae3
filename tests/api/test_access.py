"""Who may ask, how often, and what is answered when too many do."""

from datetime import timedelta

from core.cases.tokens import add_token
from core.cases.users import set_role, user_of
from tests.cases.made import ADMIN


def bearer(database, settings, name="local", role=None):
    if role is not None:
        set_role(database, ADMIN, name, role)
    owner = user_of(database, name, settings)
    return {"Authorization": f"Bearer {add_token(database, ADMIN, owner, 'test')[1]}"}


def test_without_sign_in_everybody_is_the_local_person(client):
    assert client.get("/me").json() == {"name": "local", "role": "admin"}


def test_where_people_sign_in_requests_need_a_token(open_client, database, settings, slides):
    for client in (
        open_client(sign_in=True),
        open_client(admins=frozenset({"ana@lab"})),
        open_client(api_tokens=True),
    ):
        answer = client.post("/predict", files={"file": slides[0]})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert client.get("/metrics").status_code == 401
        assert client.get("/health").status_code == 200
        assert client.get("/openapi.json").json()["paths"]["/me"]["get"]["security"] == [
            {"token": []}
        ]
        headers = bearer(database, settings)
        assert (
            client.post("/predict", files={"file": slides[0]}, headers=headers).status_code == 200
        )
    assert open_client(sign_in=True, api_tokens=False).get("/me").status_code == 200


def test_a_token_that_does_not_hold_is_refused_even_where_none_is_needed(client):
    headers = {"Authorization": "Bearer leuko_wrong"}
    assert client.get("/me", headers=headers).status_code == 401


def test_a_token_acts_in_its_persons_role(client, database, settings):
    headers = bearer(database, settings, "eve@lab", "viewer")
    assert client.get("/me", headers=headers).json() == {"name": "eve@lab", "role": "viewer"}
    assert client.get("/patients", headers=headers).status_code == 200
    answer = client.post("/patients", json={"identifier": "P"}, headers=headers)
    assert answer.status_code == 403
    assert "needs the role reviewer" in answer.json()["detail"]
    set_role(database, ADMIN, "eve@lab", "reviewer")
    refused = client.post("/patients", json={"identifier": "P"}, headers=headers)
    assert refused.status_code == 403  # the token was made for a viewer


def test_an_address_is_held_to_its_rate(open_client):
    client = open_client(api_requests_per_minute=3)
    assert [client.get("/me").status_code for _ in range(4)] == [200, 200, 200, 429]
    answer = client.get("/me")
    assert 0 < int(answer.headers["retry-after"]) <= timedelta(minutes=1).seconds
    assert client.get("/health").status_code == 200


def test_a_full_queue_answers_busy(open_client, slides):
    client = open_client(interpreters=1, api_queue=0)
    with client.app.state.services.workers.slot():
        for path in ("/predict", "/analyze", "/analyze?stream=true"):
            answer = client.post(path, files={"file": slides[0]})
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "3"
            assert answer.json()["type"].endswith(":busy")
        assert client.get("/health").status_code == 200
    for path in ("/predict", "/analyze?stream=true", "/stage"):  # each frees its slot
        assert client.post(path, files={"file": slides[0]}).status_code == 200
