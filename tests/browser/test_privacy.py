"""Pages ask no other server, and pages of other servers cannot read from this one."""

import http.server
import threading
from contextlib import contextmanager
from functools import partial

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import serving, visiting
from tests.browser.visits import open_page, settled, upload

pytestmark = pytest.mark.browser

TITLES = (
    "WBC count",
    "Microscope",
    "ALL stage",
    "Patients",
    "Review",
    "Settings",
    "Model metrics",
    "About",
    "Overview",
)
WATCH = """
window.icons = []
window.violations = []
document.addEventListener('securitypolicyviolation', event =>
    window.violations.push(`${event.violatedDirective} ${event.blockedURI}`))
const href = Object.getOwnPropertyDescriptor(HTMLLinkElement.prototype, 'href')
Object.defineProperty(HTMLLinkElement.prototype, 'href', {
    ...href,
    set(value) {
        href.set.call(this, value)
        if (this.relList.contains('icon')) window.icons.push(this.href)
    },
})
"""
ATTACK = """async address => {
    const results = {}
    const read = path => fetch(address + path, {credentials: 'include'})
        .then(answer => answer.text(), () => 'unreadable')
    results.patients = await read('/api/patients')
    results.config = await read('/_stcore/host-config')
    results.socket = await new Promise(done => {
        const socket = new WebSocket(
            address.replace('http', 'ws') + '/_stcore/stream', ['streamlit'])
        socket.onopen = () => done('open')
        socket.onerror = () => done('refused')
    })
    results.image = await new Promise(done => {
        const image = new Image()
        image.onload = () => done('shown')
        image.onerror = () => done('refused')
        image.src = address + '/favicon.png'
    })
    return results
}"""

SENT_FORM = """address => {
    const form = document.createElement('form')
    Object.assign(form, {method: 'post', enctype: 'multipart/form-data', action: address})
    const transfer = new DataTransfer()
    transfer.items.add(new File(['x'], 'x.png', {type: 'image/png'}))
    const input = Object.assign(document.createElement('input'), {type: 'file', name: 'file'})
    input.files = transfer.files
    document.body.append(form)
    form.append(input)
    form.submit()
}"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("store")) as server:
        yield server


@pytest.mark.parametrize("path", ["wbc_count", "", "review", "model_metrics", "about"])
def test_a_cold_load_asks_no_other_server(browser, address, path):
    own = (address, address.replace("http:", "ws:"), "data:", f"blob:{address}")
    with visiting(browser, address) as page:
        requested = []
        page.on("request", lambda request: requested.append(request.url))
        page.on("websocket", lambda socket: requested.append(socket.url))
        page.add_init_script(WATCH)
        page.goto(f"/{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        settled(page)
        icons = page.evaluate("icons")
    assert requested
    assert any(icon.startswith("data:image/svg") for icon in icons)
    assert [url for url in (*requested, *icons) if not url.startswith(own)] == []


def test_no_page_asks_another_server_for_anything(browser, address, bccd_files):
    with visiting(browser, address) as page:
        requested = []
        page.route("**/*", lambda route: (requested.append(route.request.url), route.continue_()))
        page.on("websocket", lambda socket: requested.append(socket.url))
        page.add_init_script(WATCH)
        page.goto("/")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        for title in TITLES:
            open_page(page, title)
            settled(page)
        open_page(page, "Microscope")
        page.get_by_role("link", name="Example").click()
        page.locator(".map .leaflet-tile-loaded").first.wait_for()
        open_page(page, "WBC count")
        upload(page, *bccd_files(0))
        expect(page.get_by_role("heading", name="Differential")).to_be_visible()
        settled(page)
        own = (address, address.replace("http:", "ws:"), "data:", f"blob:{address}")
        assert len(requested) > len(TITLES)
        assert [url for url in requested if not url.startswith(own)] == []
        icons = page.evaluate("icons")
        assert icons
        assert [icon for icon in icons if not icon.startswith(own)] == []
        # Streamlit's message decoder tries WebAssembly first and falls back without it.
        assert set(page.evaluate("violations")) <= {"script-src wasm-eval"}


def test_the_api_docs_work_under_the_content_security_policy(browser, address):
    with visiting(browser, address) as page:
        page.add_init_script(WATCH)
        page.goto("/api/docs")
        expect(page.get_by_text("White blood cells in smear").first).to_be_visible()
        assert page.evaluate("violations") == []


@contextmanager
def another_site(folder):
    """Serve a folder on another port of this machine; yield its address."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.func.log_message = lambda *_: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()


def test_a_page_of_another_port_reads_writes_and_frames_nothing(browser, address, tmp_path):
    (tmp_path / "index.html").write_text(f'<h1>Other</h1><iframe src="{address}"></iframe>')
    with another_site(tmp_path) as other, visiting(browser, other) as page:
        page.goto("/")
        results = page.evaluate(ATTACK, address)
        assert results == {
            "patients": "unreadable",
            "config": "unreadable",
            "socket": "refused",
            "image": "refused",
        }
        frame = next(frame for frame in page.frames if frame != page.main_frame)
        assert frame.get_by_role("heading").count() == 0
        assert frame.url.startswith("chrome-error:")
        for path in ("/api/predict", "/api/samples/1/fields"):
            page.goto("/")
            with page.expect_response(f"{address}{path}") as response:
                page.evaluate(SENT_FORM, f"{address}{path}")
            assert response.value.status == 403
            assert response.value.json()["type"].endswith(":foreign-page")
