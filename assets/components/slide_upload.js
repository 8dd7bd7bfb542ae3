// Sends a slide piece by piece (tus 1.0.0). What has arrived stays on the server: after a lost
// connection, a pause or a reload the upload goes on there, once the same file is chosen again.
const TUS = { "Tus-Resumable": "1.0.0" }
const PIECE = 8_000_000
const WAITS = [1, 2, 5, 10, 20, 30] // seconds, then the last one again and again
const LATER = new Set([0, 408, 409, 425, 429, 500, 502, 503, 504])
const uploads = new WeakMap()

function button(parent, text, pressed) {
  const made = put(parent, "button", { type: "button" }, text)
  made.onclick = pressed
  return made
}

function size(bytes) {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB` : `${(bytes / 1e9).toFixed(2)} GB`
}

function time(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`
}

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)))
}

class Failure extends Error {
  constructor(status, sentence) {
    super(sentence || "The server did not answer as expected. Try again, or report it.")
    this.status = status
  }
}

function sentence(text) {
  try { return JSON.parse(text).detail } catch { return "" }
}

class Upload {
  constructor(root, data, base) {
    Object.assign(this, { data, base, run: 0 })
    const row = put(root, "div", { class: "row" })
    this.chooser = put(row, "input", { type: "file", accept: data.accept, hidden: "" })
    this.choose = button(row, "Upload a slide", () => this.chooser.click())
    put(row, "span", { class: "hint" }, data.hint)
    this.chooser.onchange = () => {
      const [file] = this.chooser.files
      this.chooser.value = "" // so that the same file can be chosen again
      if (file) this.begin(file)
    }
    this.now = put(root, "div", { class: "now", hidden: "" })
    this.bar = put(this.now, "progress", { max: 1, value: 0, "aria-label": "Sent" })
    this.says = put(this.now, "span", { role: "status" })
    this.pause = button(this.now, "Pause", () => this.sending ? this.stop("Paused. ") : this.goOn())
    this.cancel = button(this.now, "Cancel", () => this.forget())
    this.left = put(root, "div", { class: "left" })
    this.ask = event => { event.preventDefault(); event.returnValue = "" }
    this.online = () => this.wake?.()
    window.addEventListener("online", this.online)
    this.list()
  }

  url(id = "") { return new URL(`slides/uploads${id && `/${id}`}`, this.base) }

  async call(method, id, headers = {}) {
    let answer
    try {
      answer = await fetch(this.url(id), { method, headers: { ...TUS, ...headers } })
    } catch { throw new Failure(0) }
    if (!answer.ok) throw new Failure(answer.status, sentence(await answer.text()))
    return answer
  }

  async list() { // of the unfinished uploads, those that nothing is sent to now
    let found
    try { found = await (await this.call("GET")).json() } catch { return [] }
    this.left.replaceChildren()
    for (const { id, name, length, offset, expires } of found) {
      if (this.file && id === this.id) continue
      const line = put(this.left, "div")
      const until = new Date(expires).toLocaleDateString(undefined, { day: "numeric", month: "short" })
      put(line, "span", {}, `${name}: ${size(offset)} of ${size(length)} arrived, kept until ${until}. Choose the file again to go on.`)
      button(line, "Delete", async () => { await this.call("DELETE", id).catch(() => {}); this.list() })
    }
    return found
  }

  async begin(file) {
    if (this.sending) return
    this.now.hidden = false
    this.bar.value = 0
    this.cancel.hidden = this.pause.hidden = true
    if (file.size > this.data.most) return this.say(`The file has ${size(file.size)}; slides of up to ${size(this.data.most)} can be uploaded.`)
    Object.assign(this, { file, id: undefined })
    this.goOn()
  }

  async create() {
    const { name, size, lastModified } = this.file
    const known = (await (await this.call("GET")).json()).find(upload =>
      upload.length === size && upload.modified === lastModified && (upload.name === name || this.data.neutral))
    if (known) return known.id
    const answer = await this.call("POST", "", {
      "Upload-Length": size,
      "Upload-Metadata": `filename ${base64(name)},modified ${base64(String(lastModified))}`,
    })
    return answer.headers.get("Location").split("/").pop()
  }

  async goOn() {
    const run = ++this.run
    const goes = () => run === this.run
    this.show(true)
    for (let failed = 0; goes();) {
      try {
        this.say("Asking the server …")
        this.id ??= await this.create()
        const state = await this.call("HEAD", this.id)
        let offset = Number(state.headers.get("Upload-Offset")), slide = state.headers.get("Slide-Id")
        Object.assign(this, { since: performance.now(), from: offset })
        this.list()
        while (goes() && !slide) {
          const answer = await this.send(offset)
          ;({ offset, slide } = answer)
          failed = 0
        }
        if (slide && goes()) return this.done(slide)
      } catch (failure) {
        if (!goes()) return
        if (!LATER.has(failure.status)) return this.fail(failure)
        const seconds = failure.status === 409 && !failed ? 0 : WAITS[Math.min(failed, WAITS.length - 1)]
        failed++
        await this.wait(seconds)
      }
    }
  }

  send(offset) { // one piece; what has arrived when it fails stays there
    return new Promise((resolve, reject) => {
      const request = this.request = new XMLHttpRequest()
      request.open("PATCH", this.url(this.id))
      const headers = { ...TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": offset }
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value)
      request.upload.onprogress = event => this.progress(offset + event.loaded)
      request.onload = () => {
        if (request.status !== 204) return reject(new Failure(request.status, sentence(request.responseText)))
        resolve({ offset: Number(request.getResponseHeader("Upload-Offset")), slide: request.getResponseHeader("Slide-Id") })
      }
      request.onerror = request.onabort = () => reject(new Failure(0))
      this.progress(offset)
      request.send(this.file.slice(offset, offset + PIECE))
    })
  }

  progress(sent) {
    const { size: length, name } = this.file
    this.bar.value = length ? sent / length : 0
    if (sent >= length) return this.say(`${name} has arrived. The server opens it …`)
    const seconds = (performance.now() - this.since) / 1000
    const rate = (sent - this.from) / seconds
    const rest = seconds > 2 && rate > 0 ? `, ${size(rate)}/s, ${time((length - sent) / rate)} left` : ""
    this.say(`${name}: ${size(sent)} of ${size(length)}${rest}`)
  }

  wait(seconds) {
    if (seconds) this.say(`The connection was lost. Trying again in ${seconds} s; what has arrived is kept.`)
    return new Promise(resolve => {
      const timer = setTimeout(resolve, 1000 * seconds)
      this.wake = () => { clearTimeout(timer); resolve() }
    })
  }

  show(sending) {
    this.sending = sending
    this.now.hidden = false
    this.choose.disabled = sending
    this.pause.hidden = this.cancel.hidden = false
    this.pause.textContent = sending ? "Pause" : "Go on"
    window[sending ? "addEventListener" : "removeEventListener"]("beforeunload", this.ask)
  }

  say(text) { this.says.textContent = text }

  stop(text) {
    this.run++
    this.request?.abort()
    this.wake?.()
    this.show(false)
    this.say(`${text}What has arrived is kept.`)
  }

  fail(failure) { // a slide that is refused is not kept; where only room lacks it can go on
    this.show(false)
    this.say(failure.message)
    if (failure.status !== 507) { this.pause.hidden = this.cancel.hidden = true; this.file = undefined }
    this.list()
  }

  async forget() {
    const { id } = this
    this.stop("")
    this.now.hidden = true
    this.file = undefined
    if (id) await this.call("DELETE", id).catch(() => {})
    this.list()
  }

  done(slide) {
    this.show(false)
    this.pause.hidden = this.cancel.hidden = true
    this.say(`${this.file.name} is uploaded.`)
    this.bar.value = 1
    this.file = undefined
    this.list()
    this.finished("slide", slide)
  }

  remove() {
    this.run++
    this.request?.abort()
    window.removeEventListener("online", this.online)
    window.removeEventListener("beforeunload", this.ask)
  }
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const root = parentElement.querySelector(".upload") ?? put(parentElement, "div", { class: "upload" })
  if (!uploads.has(root)) uploads.set(root, new Upload(root, data, new URL("api/", location.href)))
  uploads.get(root).finished = setTriggerValue
  return () => { uploads.get(root)?.remove(); uploads.delete(root) }
}
