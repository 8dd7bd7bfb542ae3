// A text area sends its text when it is left, or by Ctrl+Enter. This has a text sent while it is
// typed, at each pause and when the window goes out of sight, and lets the browser ask when the page
// is left sooner than that.
const PAUSE = 700 // milliseconds

export default function () {
  let waiting = null
  let timer = 0
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
    if (!area.matches?.('[data-testid="stTextArea"] textarea')) return
    if (waiting && waiting !== area) send()
    waiting = area
    clearTimeout(timer)
    timer = setTimeout(send, PAUSE)
  }
  const leave = (event) => {
    if (!waiting) return
    send()
    event.preventDefault()
  }
  const hidden = () => document.hidden && send() // a phone may end a page out of sight unasked
  document.addEventListener("input", typed)
  document.addEventListener("visibilitychange", hidden)
  window.addEventListener("beforeunload", leave)
  return () => {
    send()
    document.removeEventListener("input", typed)
    document.removeEventListener("visibilitychange", hidden)
    window.removeEventListener("beforeunload", leave)
  }
}
