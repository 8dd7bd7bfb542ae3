// The slide on the screen. Leaflet draws the tiles; coordinates are pixels of level 0.
const POWERS = [2, 4, 10, 20, 40, 60, 100]
const MICROMETRES_AT_1X = 10 // one screen pixel: 0.25 µm at 40x, as scanners have it
const NICE = [1, 2, 5]
const views = new WeakMap()
let leaflet

function load(base) {
  leaflet ??= new Promise((resolve, reject) => {
    if (window.L?.CRS) return resolve(window.L)
    const script = document.createElement("script")
    script.src = new URL("viewer/leaflet.js", base)
    script.onload = () => resolve(window.L)
    script.onerror = () => { leaflet = undefined; reject(new Error("viewer")) }
    document.head.append(script)
  })
  return leaflet
}

function element(parent, name, attributes = {}, text = "") {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  made.textContent = text
  parent.append(made)
  return made
}

function button(parent, text, label, pressed, classes = "") {
  const made = element(parent, "button", { type: "button", title: label, "aria-label": label, class: classes }, text)
  made.onclick = pressed
  return made
}

function tileLayer(L, slide, base, view) {
  const sharp = window.devicePixelRatio > 1.4 ? 1 : 0 // screens with small pixels show finer tiles
  const size = slide.tile_size >> sharp
  const Layer = L.GridLayer.extend({
    createTile(place, done) {
      const zoom = place.z + sharp
      const tile = document.createElement("div")
      const image = element(tile, "img", { alt: "", decoding: "async" })
      image.style.cssText = "display:block;position:absolute;left:0;top:0"
      image.onload = () => {
        image.style.width = `${image.naturalWidth * size / slide.tile_size}px`
        image.style.height = `${image.naturalHeight * size / slide.tile_size}px`
        done(null, tile)
      }
      image.onerror = () => { if (image.src) { done(new Error("tile"), tile); view.tileFailed() } }
      const light = view.light ? "&light=true" : ""
      image.src = new URL(
        `slides/${slide.id}/tiles/${zoom}/${place.x}_${place.y}.jpg?v=${slide.version}${light}`, base)
      return tile
    },
  })
  const layer = new Layer({
    tileSize: size, minZoom: -9, maxZoom: 99, minNativeZoom: 0,
    maxNativeZoom: slide.last_zoom - sharp, updateInterval: 60, keepBuffer: 1,
    bounds: [[0, 0], [slide.height - 1, slide.width - 1]], noWrap: true,
  })
  layer.on("tileunload", ({ tile }) => { // the browser gives up what nobody sees any more
    const image = tile.firstChild
    if (!image.complete) { image.onerror = null; image.removeAttribute("src") }
  })
  return layer
}

class View {
  constructor(L, root, data, base) {
    Object.assign(this, { L, root, base, slide: data.slide, mode: "look", light: false })
    const { width, height, last_zoom: last } = this.slide
    this.um = this.slide.micrometres_per_pixel
    const crs = L.extend({}, L.CRS.Simple, {
      transformation: new L.Transformation(1, 0, 1, 0),
      scale: zoom => 2 ** (zoom - last),
      zoom: scale => last + Math.log2(scale),
    })
    root.replaceChildren()
    this.box = element(root, "div", { class: "map", role: "application", tabindex: "0",
      "aria-label": "Slide. Arrow keys move, plus and minus zoom, 0 shows the whole slide." })
    this.map = L.map(this.box, {
      crs, zoomControl: false, attributionControl: false, zoomSnap: 0, zoomDelta: 1,
      wheelPxPerZoomLevel: 110, wheelDebounceTime: 20, inertiaDeceleration: 4000,
      maxZoom: last + 3, minZoom: -1, keyboardPanDelta: 160, doubleClickZoom: false,
      maxBounds: [[-height * .5, -width * .5], [height * 1.5, width * 1.5]],
    })
    this.buildPanels()
    this.tiles = tileLayer(L, this.slide, base, this).addTo(this.map)
    this.marks = L.layerGroup().addTo(this.map)
    this.map.on("move zoom", () => this.draw())
    this.map.on("click", event => this.clicked(event))
    this.map.on("dblclick", event => this.doubleClicked(event))
    this.map.on("mousemove", event => this.moved(event))
    this.box.addEventListener("keydown", event => this.key(event))
    this.resized = new ResizeObserver(() => this.map.invalidateSize({ pan: false }))
    this.resized.observe(this.box)
    this.start()
    this.map.on("moveend", () => this.remember())
  }

  start() {
    const asked = new URLSearchParams(location.search)
    const [x, y, scale] = ["x", "y", "zoom"].map(name => Number.parseFloat(asked.get(name)))
    if ([x, y, scale].every(Number.isFinite) && scale > 0) {
      this.map.setView([y, x], this.zoomOf(scale), { animate: false })
    } else this.fit(false)
    this.draw()
  }

  zoomOf(scale) { return this.slide.last_zoom + Math.log2(scale) }
  get scale() { return 2 ** (this.map.getZoom() - this.slide.last_zoom) } // screen px a slide px
  get power() { return MICROMETRES_AT_1X * this.scale / this.um }

  fit(animate = true) {
    const { width, height } = this.slide
    const size = this.map.getSize()
    const zoom = this.zoomOf(Math.min(size.x / width, size.y / height) * .94)
    this.map.setMinZoom(Math.min(zoom - .5, this.slide.last_zoom))
    this.map.setView([height / 2, width / 2], zoom, { animate })
  }

  go(power) { this.map.setZoom(this.zoomOf(power * this.um / MICROMETRES_AT_1X)) }

  remember() { // the address in the browser names what is on the screen
    clearTimeout(this.later)
    this.later = setTimeout(() => {
      if (!this.box.isConnected) return
      const centre = this.map.getCenter()
      const address = new URL(location.href)
      if (address.searchParams.get("slide") !== this.slide.id) return
      address.searchParams.set("x", Math.round(centre.lng))
      address.searchParams.set("y", Math.round(centre.lat))
      address.searchParams.set("zoom", this.scale.toPrecision(4))
      history.replaceState(history.state, "", address)
    }, 250)
  }

  buildPanels() {
    const panel = (classes, attributes = {}) =>
      element(this.root, "div", { class: `panel ${classes}`, ...attributes })
    const tools = panel("tools", { role: "toolbar", "aria-label": "View" })
    button(tools, "+", "Zoom in (+)", () => this.map.zoomIn(), "zoom")
    button(tools, "−", "Zoom out (−)", () => this.map.zoomOut(), "zoom")
    button(tools, "Whole", "Show the whole slide (0)", () => this.fit(), "wide")
    this.lightButton = button(tools, "Light", "Correct light and white point", () => {
      this.light = !this.light
      this.lightButton.setAttribute("aria-pressed", this.light)
      this.tiles.redraw()
    }, "wide")
    this.lightButton.setAttribute("aria-pressed", false)
    this.modes = {
      distance: button(tools, "Distance", "Measure a distance: click points, Esc ends", () => this.setMode("distance"), "wide"),
      area: button(tools, "Area", "Measure an area: click corners, double click closes", () => this.setMode("area"), "wide"),
    }
    for (const made of Object.values(this.modes)) made.setAttribute("aria-pressed", false)
    if (this.root.requestFullscreen) {
      button(tools, "Full", "Full screen", () =>
        document.fullscreenElement ? document.exitFullscreen() : this.root.requestFullscreen(), "wide")
    }
    const powers = panel("powers", { role: "toolbar", "aria-label": "Objective" })
    if (this.um) {
      const most = MICROMETRES_AT_1X / this.um * 8
      this.powers = POWERS.filter(power => power <= most).map(power => {
        const made = button(powers, `${power}×`, `Objective ${power}×`, () => this.go(power))
        return [power, made]
      })
      const scale = panel("scale")
      this.scaleText = element(scale, "span")
      this.scaleBar = element(scale, "i")
    } else this.powers = []
    this.now = element(powers, "span", { class: "now" })
    this.says = panel("says", { role: "status", hidden: "" })
    const overview = panel("overview", { "aria-hidden": "true" })
    const image = element(overview, "img", { alt: "" })
    image.src = new URL(`slides/${this.slide.id}/tiles/0/0_0.jpg?v=${this.slide.version}`, this.base)
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg")
    svg.setAttribute("viewBox", `0 0 ${this.slide.width} ${this.slide.height}`)
    svg.setAttribute("preserveAspectRatio", "none")
    this.shown = document.createElementNS(svg.namespaceURI, "rect")
    svg.append(this.shown)
    overview.append(svg)
    const move = event => {
      const rect = overview.getBoundingClientRect()
      this.map.panTo([
        (event.clientY - rect.top) / rect.height * this.slide.height,
        (event.clientX - rect.left) / rect.width * this.slide.width], { animate: false })
    }
    overview.onpointerdown = event => { overview.setPointerCapture(event.pointerId); move(event) }
    overview.onpointermove = event => { if (event.buttons) move(event) }
  }

  draw() {
    const bounds = this.map.getBounds()
    const left = Math.max(0, bounds.getWest()), top = Math.max(0, bounds.getNorth())
    const right = Math.min(this.slide.width, bounds.getEast())
    const bottom = Math.min(this.slide.height, bounds.getSouth())
    const y = Math.min(top, bottom), down = Math.abs(bottom - top)
    const least = this.slide.width / 60 // a view of a few cells would be no rectangle
    for (const [name, value] of Object.entries({ x: left, y, width: Math.max(right - left, least), height: Math.max(down, least) })) {
      this.shown.setAttribute(name, Math.max(0, value))
    }
    const scale = this.scale
    this.box.classList.toggle("near", scale > 2)
    if (!this.um) {
      this.now.textContent = `${(100 * scale).toPrecision(2)} %`
      return
    }
    const power = this.power
    this.now.textContent = `${power >= 10 ? power.toFixed(0) : power.toPrecision(2)}×`
    for (const [value, made] of this.powers) {
      made.setAttribute("aria-pressed", Math.abs(power / value - 1) < .02)
    }
    const perPixel = this.um / scale
    const longest = perPixel * Math.min(140, this.box.clientWidth / 3)
    const unit = 10 ** Math.floor(Math.log10(longest))
    const length = unit * NICE.findLast(nice => nice * unit <= longest)
    this.scaleText.textContent = this.length(length)
    this.scaleBar.style.width = `${length / perPixel}px`
  }

  length(um) {
    if (um >= 1000) return `${+(um / 1000).toPrecision(3)} mm`
    return `${+um.toPrecision(3)} µm`
  }
  area(um2) {
    return um2 >= 1e5 ? `${+(um2 / 1e6).toPrecision(3)} mm²` : `${+um2.toPrecision(3)} µm²`
  }

  // Measuring: points are [y, x]; the last one follows the pointer.
  setMode(mode) {
    this.mode = this.mode === mode ? "look" : mode
    this.points = []
    this.marks.clearLayers()
    for (const [name, made] of Object.entries(this.modes)) made.setAttribute("aria-pressed", name === this.mode)
    this.box.classList.toggle("pick", this.mode !== "look")
    this.say({
      look: "", distance: "Click two or more points. Esc ends.",
      area: "Click the corners, double click the last one.",
    }[this.mode])
    this.box.focus({ preventScroll: true })
  }

  say(text) { this.says.textContent = text; this.says.hidden = !text }

  clicked({ latlng }) {
    if (this.mode === "look") return
    if (this.closed) { this.points = []; this.closed = false }
    this.points.push([latlng.lat, latlng.lng])
    this.measure(this.points)
  }

  moved({ latlng }) {
    if (this.mode !== "look" && this.points.length && !this.closed) {
      this.measure([...this.points, [latlng.lat, latlng.lng]])
    }
  }

  doubleClicked() {
    if (this.mode === "look") return
    this.points = this.points.slice(0, -1) // the second click of two
    this.closed = true
    this.measure(this.points)
  }

  measure(points) {
    const um = this.um ?? 1, unit = this.um ? null : " px"
    this.marks.clearLayers()
    const style = { color: "#d6006f", weight: 2, fillOpacity: .12, interactive: false }
    if (this.mode === "distance") {
      const length = points.slice(1).reduce((sum, [y, x], i) =>
        sum + Math.hypot(y - points[i][0], x - points[i][1]), 0) * um
      this.L.polyline(points, style).addTo(this.marks)
      this.say(points.length < 2 ? "Click the next point." : unit ? `${length.toFixed(0)}${unit}` : this.length(length))
    } else {
      const area = Math.abs(points.reduce((sum, [y, x], i) => {
        const [y2, x2] = points[(i + 1) % points.length]
        return sum + x * y2 - x2 * y
      }, 0)) / 2 * um * um
      this.L.polygon(points, style).addTo(this.marks)
      this.say(points.length < 3 ? "Click the next corner." : unit ? `${area.toFixed(0)}${unit}²` : this.area(area))
    }
    for (const point of points) {
      this.L.circleMarker(point, { ...style, radius: 3, fillOpacity: 1 }).addTo(this.marks)
    }
  }

  key(event) {
    if (event.key === "0") this.fit()
    else if (event.key === "Escape" && this.mode !== "look") this.setMode(this.mode)
    else return
    event.preventDefault()
    event.stopPropagation()
  }

  tileFailed() { this.say("A part of the slide cannot be shown. Reload the page; the slide may be damaged.") }

  remove() {
    clearTimeout(this.later)
    this.resized.disconnect()
    this.map.remove()
  }
}

export default function (component) {
  const { data, parentElement } = component
  const root = parentElement.querySelector(".scope")
  const base = new URL("api/", location.href)
  const old = views.get(root)
  if (old?.id !== data.slide.id) {
    old?.view?.remove()
    const kept = { id: data.slide.id }
    views.set(root, kept)
    const style = parentElement.querySelector("link")
    if (!style.href) style.href = new URL("viewer/leaflet.css", base)
    load(base).then(
      L => { if (views.get(root) === kept) kept.view = new View(L, root, data, base) },
      () => { root.textContent = "The viewer could not be loaded. Reload the page." })
  }
  return () => { views.get(root)?.view?.remove(); views.delete(root) }
}
