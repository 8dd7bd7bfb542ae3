// A text area sends its text when it is left, or by Ctrl+Enter. This has a text sent while it is
// typed, at each pause and when the window goes out of sight, and lets the browser ask when the page
// is left sooner than that. Streamlit drops what it has not begun to run when a browser goes, so a text
// that was sent that late also stays in the tab, and is put in again when the page comes back to the
// same user.
const PAUSE = 700 // milliseconds
const STAY = 10000 // milliseconds after which a page that was to be left is not
const SOON = 60000 // milliseconds; later, another window may have changed the text
const LEFT = "leukoscope_text" // where the tab keeps a text that was sent as the page was left
const AREA = '[data-testid="stTextArea"] textarea'

const nameOf = (area) => area.closest('[class*="st-key-"]')?.className.match(/st-key-\S+/)[0]

// Put a text into its area as if it was typed; the area is drawn later than this component.
function restore({ name, text, until }) {
  const area = document.querySelector(`.${name} textarea`)
  if (!area) {
    if (performance.now() < until) setTimeout(() => restore({ name, text, until }), 100)
    return
  }
  if (area.value === text) return
  // React ignores a value that is set on the element itself.
  Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(area, text)
  area.dispatchEvent(new Event("input", { bubbles: true }))
}

export default function ({ data }) {
  let waiting = null
  let timer = 0
  let left = null // what was sent as the page was left
  const send = () => {
    clearTimeout(timer)
    const area = waiting
    waiting = null
    area?.dispatchEvent(
      new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, bubbles: true, cancelable: true }),
    )
  }
  const typed = (event) => {
    const area = event.target
    if (!area.matches?.(AREA)) return
    left = null
    if (waiting && waiting !== area) send()
    waiting = area
    clearTimeout(timer)
    timer = setTimeout(send, PAUSE)
  }
  const leave = (event) => {
    if (!waiting) return
    left = { user: data.user, name: nameOf(waiting), text: waiting.value, at: Date.now() }
    setTimeout(() => (left = null), STAY)
    send()
    event.preventDefault()
  }
  const gone = () => {
    try {
      if (left?.name) sessionStorage.setItem(LEFT, JSON.stringify(left))
    } catch {
      // The browser forbids storage.
    }
  }
  const hidden = () => document.hidden && send() // a phone may end a page out of sight unasked
  document.addEventListener("input", typed)
  document.addEventListener("visibilitychange", hidden)
  window.addEventListener("beforeunload", leave)
  window.addEventListener("pagehide", gone)
  try {
    const kept = JSON.parse(sessionStorage.getItem(LEFT))
    sessionStorage.removeItem(LEFT)
    if (kept?.user === data.user && Date.now() - kept.at < SOON) restore({ ...kept, until: performance.now() + STAY })
  } catch {
    // The browser forbids storage.
  }
  return () => {
    send()
    document.removeEventListener("input", typed)
    document.removeEventListener("visibilitychange", hidden)
    window.removeEventListener("beforeunload", leave)
    window.removeEventListener("pagehide", gone)
  }
}
