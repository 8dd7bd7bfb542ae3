// The slide on the screen. Leaflet draws the tiles; coordinates are pixels of level 0.
const POWERS = [2, 4, 10, 20, 40, 60, 100]
const MICROMETRES_AT_1X = 10 // one screen pixel: 0.25 µm at 40x, as scanners have it
const NICE = [1, 2, 5]
const NOT_COUNTED = "Not counted" // as the API calls what is no white cell
const GOOD = "rgb(0 114 178 / .26)", FAIR = "rgb(240 190 30 / .36)", POOR = "rgb(200 30 30 / .42)"
const MAPS = { // colours of the tiles, with what they mean
  Tiles: {
    counted: ["counted", "rgb(0 120 90 / .22)"],
    countable: ["worth counting", "rgb(0 114 178 / .16)"],
    rejected: ["rejected", POOR],
    thick: ["too thick", "rgb(90 60 0 / .38)"],
    glass: ["glass", "rgb(120 120 120 / .35)"],
  },
  Focus: { sharp: ["sharp", GOOD], soft: ["soft", FAIR], blurred: ["blurred: poor", POOR] },
  Stain: {
    usual: ["as the slide", GOOD], pale: ["pale: poor", FAIR], dark: ["dark: poor", POOR],
  },
  Density: {
    monolayer: ["monolayer", GOOD], sparse: ["few cells", FAIR], crowded: ["crowded: poor", POOR],
  },
}
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

function button(parent, text, label, pressed, classes = "") {
  const made = put(parent, "button", { type: "button", title: label, "aria-label": label, class: classes }, text)
  made.onclick = pressed
  return made
}

// Quarter turns exchange x and y and their signs: whatever Leaflet draws turns with them.
const TURNS = [[1, 0], [0, 1], [-1, 0], [0, -1]] // cosine, sine

function turned(L, turn) {
  const [cos, sin] = TURNS[turn]
  const onto = ({ x, y }, scale = 1) => L.point(scale * (cos * x - sin * y), scale * (sin * x + cos * y))
  return {
    transform: onto, _transform: onto,
    untransform: ({ x, y }, scale = 1) => L.point((cos * x + sin * y) / scale, (cos * y - sin * x) / scale),
  }
}

function tileLayer(L, slide, base, view) {
  const sharp = window.devicePixelRatio > 1.4 ? 1 : 0 // screens with small pixels show finer tiles
  const size = slide.tile_size >> sharp
  const Layer = L.GridLayer.extend({
    createTile(place, done) {
      const zoom = place.z + sharp
      const [column, row] = [
        [place.x, place.y], [place.y, -1 - place.x], [-1 - place.x, -1 - place.y], [-1 - place.y, place.x],
      ][view.turn]
      const tile = element("div")
      const inner = put(tile, "div")
      inner.style.cssText = `width:${size}px;height:${size}px;transform:rotate(${90 * view.turn}deg)`
      const image = put(inner, "img", { alt: "", decoding: "async" })
      image.style.cssText = "display:block;position:absolute;left:0;top:0"
      image.onload = () => {
        image.style.width = `${image.naturalWidth * size / slide.tile_size}px`
        image.style.height = `${image.naturalHeight * size / slide.tile_size}px`
        done(null, tile)
      }
      image.onerror = () => { if (image.src) { done(new Error("tile"), tile); view.tileFailed() } }
      const light = view.light ? "&light=true" : ""
      const plane = slide.planes > 1 ? `&plane=${view.plane}` : ""
      image.src = new URL(
        `slides/${slide.id}/tiles/${zoom}/${column}_${row}.jpg?v=${slide.version}${light}${plane}`, base)
      return tile
    },
  })
  const layer = new Layer({
    tileSize: size, minZoom: -9, maxZoom: 99, minNativeZoom: 0,
    maxNativeZoom: slide.last_zoom - sharp, updateInterval: 60, keepBuffer: 1,
    bounds: [[0, 0], [slide.height - 1, slide.width - 1]], noWrap: true,
  })
  layer.on("tileunload", ({ tile }) => { // the browser gives up what nobody sees any more
    const image = tile.querySelector("img")
    if (!image.complete) { image.onerror = null; image.removeAttribute("src") }
  })
  return layer
}

// The cells of a count, on one canvas above the map: 100,000 are drawn again at every move.
class Cells {
  constructor(view) {
    this.view = view
    this.canvas = put(view.box, "canvas", { class: "cells" })
    this.shown = true
    this.map = "" // of `MAPS`
    this.chosen = null
    this.takeTiles({ tiles: [], quality: [] })
    this.take({ types: [], cells: [] })
  }

  takeTiles({ tiles, quality }) { Object.assign(this, { tiles, quality }) }

  take({ types, cells }) {
    Object.assign(this, { types, cells })
    this.counts = types.map(() => 0)
    for (const cell of cells) this.counts[cell[4]]++
    this.draw()
  }

  draw() {
    const { view, canvas } = this
    if (!view.map._loaded) return
    const { clientWidth: width, clientHeight: height } = view.box
    const ratio = window.devicePixelRatio || 1
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio)
      canvas.height = Math.round(height * ratio)
    }
    const ink = canvas.getContext("2d")
    ink.setTransform(ratio, 0, 0, ratio, 0, 0)
    ink.clearRect(0, 0, width, height)
    const { left, top, right, bottom } = view.visible
    this.origin = view.map.latLngToContainerPoint([0, 0])
    if (this.map) this.drawMap(ink, left, top, right, bottom)
    if (!this.shown) return
    const visible = []
    for (const cell of this.cells) {
      if (cell[0] < right && cell[0] + cell[2] > left && cell[1] < bottom && cell[1] + cell[3] > top) visible.push(cell)
    }
    if (!visible.length) return
    if (visible[0][2] * view.scale < 7 && visible.length > 60) this.drawClusters(ink, visible)
    else this.drawBoxes(ink, visible)
  }

  place(x, y) { // on the screen
    const [cos, sin] = TURNS[this.view.turn], scale = this.view.scale
    return [this.origin.x + scale * (cos * x - sin * y), this.origin.y + scale * (sin * x + cos * y)]
  }

  rectangle(x, y, width, height) {
    const [x1, y1] = this.place(x, y), [x2, y2] = this.place(x + width, y + height)
    return [Math.min(x1, x2), Math.min(y1, y2), Math.abs(x2 - x1), Math.abs(y2 - y1)]
  }

  drawBoxes(ink, cells) {
    ink.font = "600 11px sans-serif"
    for (const [x, y, width, height, type, counted, poor] of cells) {
      const [name, colour] = this.types[type]
      const shown = this.rectangle(x, y, width, height)
      const at = [shown[0] - 2, shown[1] - 2, shown[2] + 4, shown[3] + 4]
      ink.strokeStyle = colour
      ink.lineWidth = this.chosen?.[0] === x && this.chosen?.[1] === y ? 4 : 2
      ink.setLineDash(counted ? [] : [5, 4])
      ink.strokeRect(...at)
      if (poor) {
        const right = at[0] + at[2], size = Math.min(12, at[2] / 2)
        ink.fillStyle = "#d55e00"
        ink.beginPath()
        ink.moveTo(right - size, at[1])
        ink.lineTo(right, at[1])
        ink.lineTo(right, at[1] + size)
        ink.fill()
      }
      if (at[2] > 34) {
        ink.fillStyle = "rgb(255 255 255 / .85)"
        const label = counted || name === NOT_COUNTED ? name : `${name}?`
        ink.fillRect(at[0], at[1] - 15, ink.measureText(label).width + 8, 14)
        ink.fillStyle = "#1f1a24"
        ink.fillText(label, at[0] + 4, at[1] - 4)
      }
    }
    ink.setLineDash([])
  }

  drawClusters(ink, cells) { // squares of the slide, so that none jumps
    const side = 2 ** Math.round(Math.log2(56 / this.view.scale))
    const clusters = new Map()
    for (const [x, y, , , type] of cells) {
      const key = Math.floor(x / side) * 1e6 + Math.floor(y / side)
      let found = clusters.get(key)
      if (!found) clusters.set(key, found = { x: 0, y: 0, number: 0, types: new Map() })
      found.x += x; found.y += y; found.number++
      found.types.set(type, (found.types.get(type) ?? 0) + 1)
    }
    ink.lineJoin = "round"
    ink.textAlign = "center"
    ink.textBaseline = "middle"
    ink.font = "600 11px sans-serif"
    for (const { x, y, number, types } of clusters.values()) {
      const [most] = [...types].reduce((a, b) => b[1] > a[1] ? b : a)
      const [across, down] = this.place(x / number, y / number)
      const radius = number === 1 ? 4 : Math.min(22, 8 + 2 * Math.log2(number))
      ink.beginPath()
      ink.arc(across, down, radius, 0, 7)
      ink.fillStyle = this.types[most][1]
      ink.globalAlpha = .8
      ink.fill()
      ink.globalAlpha = 1
      ink.strokeStyle = "#fff"
      ink.lineWidth = 1.5
      ink.stroke()
      if (number > 1) {
        ink.strokeStyle = "rgb(0 0 0 / .65)"
        ink.lineWidth = 3
        ink.strokeText(number, across, down)
        ink.fillStyle = "#fff"
        ink.fillText(number, across, down)
      }
    }
    ink.textAlign = "start"
    ink.textBaseline = "alphabetic"
  }

  grades() { // of every tile, on the map that is shown
    const measure = Object.keys(MAPS).indexOf(this.map) - 1
    return this.tiles.map((tile, i) => measure < 0 ? tile[4] : this.quality[i][measure])
  }

  drawMap(ink, left, top, right, bottom) {
    const grades = this.grades()
    this.tiles.forEach(([x, y, x2, y2], i) => {
      if (!grades[i] || x > right || x2 < left || y > bottom || y2 < top) return
      ink.fillStyle = MAPS[this.map][grades[i]][1]
      ink.fillRect(...this.rectangle(x, y, x2 - x, y2 - y))
    })
  }

  at(x, y) {
    const slack = 4 / this.view.scale
    return this.cells.find(cell => x > cell[0] - slack && x < cell[0] + cell[2] + slack
      && y > cell[1] - slack && y < cell[1] + cell[3] + slack)
  }

  within(points) { // even-odd rule, by the middles of the cells
    return this.cells.filter(([left, top, width, height]) => {
      const x = left + width / 2, y = top + height / 2
      let inside = false
      points.forEach(([y1, x1], i) => {
        const [y2, x2] = points[(i + 1) % points.length]
        if ((y1 > y) !== (y2 > y) && x < (x2 - x1) * (y - y1) / (y2 - y1) + x1) inside = !inside
      })
      return inside
    })
  }
}

class View {
  constructor(L, root, data, base) {
    Object.assign(this, { L, root, base, slide: data.slide, mode: "look", light: false, turn: 0 })
    this.plane = this.wantedPlane = this.slide.middle_plane
    this.stale = [] // layers of planes that are shown until the wanted one has come
    this.press = data.shown?.press // of before: the address says what to show first
    const { width, height, last_zoom: last } = this.slide
    this.um = this.slide.micrometres_per_pixel
    this.crs = L.extend({}, L.CRS.Simple, {
      transformation: turned(L, 0),
      scale: zoom => 2 ** (zoom - last),
      zoom: scale => last + Math.log2(scale),
    })
    root.replaceChildren()
    this.box = put(root, "div", { class: "map", role: "application", tabindex: "0",
      "aria-label": "Slide. Arrow keys move, plus and minus zoom, T turns, W shows the whole slide."
        + (this.slide.planes > 1 ? " Page Up and Page Down focus." : "") })
    this.map = L.map(this.box, {
      crs: this.crs, zoomControl: false, attributionControl: false, zoomSnap: 0, zoomDelta: 1,
      wheelPxPerZoomLevel: 110, wheelDebounceTime: 20, inertiaDeceleration: 4000,
      maxZoom: last + 3, minZoom: -1, keyboardPanDelta: 160, doubleClickZoom: false,
      maxBounds: [[-height * .5, -width * .5], [height * 1.5, width * 1.5]],
    })
    this.buildPanels()
    this.tiles = tileLayer(L, this.slide, base, this).addTo(this.map)
    this.marks = L.layerGroup().addTo(this.map)
    this.regions = L.layerGroup().addTo(this.map)
    this.pins = L.layerGroup().addTo(this.map)
    this.cells = new Cells(this)
    this.map.on("zoomstart", () => this.cells.canvas.classList.add("away"))
    this.map.on("zoomend", () => { this.cells.canvas.classList.remove("away"); this.cells.draw() })
    this.map.on("move zoom", () => this.draw())
    this.map.on("click", event => this.clicked(event))
    this.map.on("dblclick", event => this.doubleClicked(event))
    this.map.on("mousemove", event => this.moved(event))
    this.box.addEventListener("keydown", event => this.key(event))
    this.resized = new ResizeObserver(() => { this.map.invalidateSize({ pan: false }); this.draw() })
    this.resized.observe(this.box)
    this.start()
    this.map.on("moveend", () => this.remember())
  }

  start() {
    const asked = new URLSearchParams(location.search)
    this.turnTo(["90", "180", "270"].indexOf(asked.get("turn")) + 1)
    const [x, y, scale] = ["x", "y", "zoom"].map(name => Number.parseFloat(asked.get(name)))
    if ([x, y, scale].every(Number.isFinite) && scale > 0) {
      this.map.setView([y, x], this.zoomOf(scale), { animate: false })
    } else this.fit(false)
    this.draw()
    this.focusOn(Number.parseInt(asked.get("plane")))
  }

  async focusOn(plane) { // shows a focal plane once the server has it ready; the first time takes long
    if (!(plane >= 1 && plane <= this.slide.planes) || plane === this.wantedPlane) return
    this.wantedPlane = plane
    this.sayPlane()
    const slow = setTimeout(() => this.say(`Opening focal plane ${plane}. The first time takes longer.`), 400)
    const answer = await fetch(new URL(`slides/${this.slide.id}?plane=${plane}`, this.base)).catch(() => null)
    clearTimeout(slow)
    if (plane !== this.wantedPlane || !this.box.isConnected) return // another one since
    this.say("")
    if (!answer?.ok) {
      this.wantedPlane = this.plane
      this.sayPlane()
      return this.tileFailed()
    }
    this.plane = plane
    this.stale.push(this.tiles)
    const next = this.tiles = tileLayer(this.L, this.slide, this.base, this)
    next.once("load", () => {
      if (this.tiles === next) for (const layer of this.stale.splice(0)) layer.remove()
    })
    next.addTo(this.map)
    this.remember()
  }

  sayPlane() { if (this.planeText) this.planeText.textContent = `Plane ${this.wantedPlane}/${this.slide.planes}` }

  zoomOf(scale) { return this.slide.last_zoom + Math.log2(scale) }
  get scale() { return 2 ** (this.map.getZoom() - this.slide.last_zoom) } // screen px a slide px
  get power() { return MICROMETRES_AT_1X * this.scale / this.um }

  get visible() { // in pixels of the slide
    const bounds = this.map.getBounds()
    return { left: bounds.getWest(), top: bounds.getSouth(), right: bounds.getEast(), bottom: bounds.getNorth() }
  }

  turnTo(turn) { // in quarters, clockwise
    this.turn = (turn + 4) % 4
    this.crs.transformation = turned(this.L, this.turn)
    this.layOverview()
    if (this.map._loaded) this.map.setView(this.map.getCenter(), this.map.getZoom(), { reset: true })
  }

  fit(animate = true) {
    const { width, height } = this.slide
    const size = this.map.getSize()
    const [across, down] = this.turn % 2 ? [height, width] : [width, height]
    const zoom = this.zoomOf(Math.min(size.x / across, size.y / down) * .94)
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
      if (this.turn) address.searchParams.set("turn", 90 * this.turn)
      else address.searchParams.delete("turn")
      if (this.plane !== this.slide.middle_plane) address.searchParams.set("plane", this.plane)
      else address.searchParams.delete("plane")
      history.replaceState(history.state, "", address)
    }, 250)
  }

  buildPanels() {
    const panel = (classes, attributes = {}) =>
      put(this.root, "div", { class: `panel ${classes}`, ...attributes })
    const tools = panel("tools", { role: "toolbar", "aria-label": "View" })
    button(tools, "+", "Zoom in (+)", () => this.map.zoomIn(), "zoom")
    button(tools, "−", "Zoom out (−)", () => this.map.zoomOut(), "zoom")
    button(tools, "Whole", "Show the whole slide (W)", () => this.fit(), "wide")
    button(tools, "⟲", "Turn left (Shift+T)", () => this.turnTo(this.turn - 1), "zoom")
    button(tools, "⟳", "Turn right (T)", () => this.turnTo(this.turn + 1), "zoom")
    if (this.slide.planes > 1) {
      const { planes, plane_step: step } = this.slide
      button(tools, "▼", "Focus down, to the glass (Page Down)", () => this.focusOn(this.wantedPlane - 1), "zoom")
      this.planeText = put(tools, "output", { title:
        `Focal plane of ${planes}${step ? `, ${+step.toPrecision(3)} µm apart` : ""}`, "aria-label": "Focal plane" })
      button(tools, "▲", "Focus up (Page Up)", () => this.focusOn(this.wantedPlane + 1), "zoom")
      this.sayPlane()
    }
    this.lightButton = button(tools, "Light", "Correct light and white point", () => {
      this.light = !this.light
      this.lightButton.setAttribute("aria-pressed", this.light)
      this.tiles.redraw()
    }, "wide")
    this.lightButton.setAttribute("aria-pressed", false)
    this.cellTools = put(tools, "span", { hidden: "" })
    const shows = button(this.cellTools, "Cells", "Show the cells of the count", () => {
      this.cells.shown = !this.cells.shown
      shows.setAttribute("aria-pressed", this.cells.shown)
      this.cells.draw()
      this.explain()
    }, "wide")
    shows.setAttribute("aria-pressed", true)
    const map = put(this.cellTools, "select", { "aria-label": "Map of the slide",
      title: "Map: which parts were counted, their focus, stain and density of cells" })
    put(map, "option", { value: "" }, "No map")
    for (const name of Object.keys(MAPS)) put(map, "option", { value: name }, name)
    map.onchange = async () => {
      this.cells.map = map.value
      await this.takeTiles()
      this.cells.draw()
      this.explain()
    }
    button(this.cellTools, "Next", "Next cell (N)", () => this.next(1), "wide")
    this.modes = {
      distance: button(tools, "Distance", "Measure a distance: click points, Esc ends", () => this.setMode("distance"), "wide"),
      comment: button(tools, "Comment", "Comment on a place: click it", () => this.setMode("comment"), "wide"),
      area: button(tools, "Area", "Measure an area: click corners, double click closes", () => this.setMode("area"), "wide"),
    }
    for (const made of Object.values(this.modes)) made.setAttribute("aria-pressed", false)
    button(tools, "Tour", "Add this view to my tour", () => {
      this.send("view", this.named(this.map.getCenter()))
      const told = "The text is entered on the page."
      this.say(told)
      setTimeout(() => { if (this.says.textContent === told) this.say("") }, 5000)
    }, "wide")
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
      this.scaleText = put(scale, "span")
      this.scaleBar = put(scale, "i")
    } else this.powers = []
    this.now = put(powers, "span", { class: "now" })
    this.legend = panel("legend", { hidden: "" })
    this.says = panel("says", { role: "status", hidden: "" })
    const overview = this.overview = panel("overview", { "aria-hidden": "true" })
    const inner = put(overview, "div")
    const image = put(inner, "img", { alt: "" })
    image.onload = () => this.layOverview()
    image.src = new URL(`slides/${this.slide.id}/tiles/0/0_0.jpg?v=${this.slide.version}`, this.base)
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg")
    svg.setAttribute("viewBox", `0 0 ${this.slide.width} ${this.slide.height}`)
    svg.setAttribute("preserveAspectRatio", "none")
    this.shown = document.createElementNS(svg.namespaceURI, "rect")
    svg.append(this.shown)
    inner.append(svg)
    const move = event => {
      const rect = overview.getBoundingClientRect(), [cos, sin] = TURNS[this.turn]
      const across = event.clientX - (rect.left + rect.right) / 2
      const down = event.clientY - (rect.top + rect.bottom) / 2
      this.map.panTo([
        (.5 + (cos * down - sin * across) / inner.offsetHeight) * this.slide.height,
        (.5 + (cos * across + sin * down) / inner.offsetWidth) * this.slide.width], { animate: false })
    }
    overview.onpointerdown = event => { overview.setPointerCapture(event.pointerId); move(event) }
    overview.onpointermove = event => { if (event.buttons) move(event) }
  }

  layOverview() { // turned, in a box that it fills
    const inner = this.overview.firstChild
    const { offsetWidth: width, offsetHeight: height } = inner
    const [across, down] = this.turn % 2 ? [height, width] : [width, height]
    Object.assign(this.overview.style, { width: `${across}px`, height: `${down}px` })
    this.box.parentElement.style.setProperty("--below-overview", `${down + 24}px`)
    inner.style.transform =
      `translate(${(across - width) / 2}px, ${(down - height) / 2}px) rotate(${90 * this.turn}deg)`
  }

  draw() {
    if (!this.map._loaded) return
    this.cells.draw()
    const { left, top, right, bottom } = this.visible
    const x = Math.max(0, left), y = Math.max(0, top)
    const across = Math.min(this.slide.width, right) - x, down = Math.min(this.slide.height, bottom) - y
    const least = this.slide.width / 60 // a view of a few cells would be no rectangle
    for (const [name, value] of Object.entries({ x, y, width: Math.max(across, least), height: Math.max(down, least) })) {
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

  explain() { // what colours and marks mean
    const { map, cells, shown } = this.cells
    const lines = []
    if (map) {
      const grades = new Set(this.cells.grades())
      lines.push(...Object.entries(MAPS[map]).filter(([grade]) => grades.has(grade)).map(([, line]) => line))
      if (grades.has("")) lines.push(["not measured", "transparent"])
    }
    if (shown && cells.some(cell => cell[6])) {
      lines.push(["cell in a poor area", "transparent 50%, #d55e00 50%"])
    }
    this.legend.replaceChildren()
    this.legend.hidden = !lines.length
    for (const [text, colour] of lines) {
      const line = put(this.legend, "span")
      const ink = colour.includes(",") ? colour : `${colour}, ${colour}`
      put(line, "i", { style: `background:linear-gradient(45deg, ${ink}) #e9e9e6` }) // as on glass
      line.append(text)
    }
  }

  choose(cell) {
    if (!cell) return
    this.cells.chosen = cell
    this.cells.draw()
    this.send("cell", [cell[0] + cell[2] / 2, cell[1] + cell[3] / 2])
  }

  next(step) {
    const { cells, chosen } = this.cells
    if (!cells.length) return
    const now = chosen ? cells.findIndex(cell => cell[0] === chosen[0] && cell[1] === chosen[1]) : -1
    const cell = cells[(now + step + cells.length) % cells.length]
    const zoom = Math.max(this.map.getZoom(), this.um ? this.zoomOf(40 * this.um / MICROMETRES_AT_1X) : 0)
    this.map.setView([cell[1] + cell[3] / 2, cell[0] + cell[2] / 2], zoom, { animate: false })
    this.choose(cell)
  }

  outline(regions) {
    const now = JSON.stringify(regions)
    if (now === this.outlined) return
    this.outlined = now
    this.regions.clearLayers()
    for (const { name, rings } of regions) {
      const points = rings.map(ring => ring.map(([x, y]) => [y, x]))
      const text = element("span", "", name) // a name from a file is text, never HTML
      this.L.polygon(points, { color: "#0a7d5a", weight: 2, fill: false, interactive: false })
        .bindTooltip(text, { permanent: true, direction: "center" }).addTo(this.regions)
    }
  }

  pin(places, pinned) { // numbered as in the list
    const now = JSON.stringify([places, pinned])
    if (now === this.pinnedNow) return
    this.pinnedNow = now
    this.pins.clearLayers()
    const draw = ({ x, y }, text) => this.L.circleMarker([y, x], {
      radius: 7, color: "#fff", weight: 2, fillColor: "#d6006f", fillOpacity: 1, interactive: false,
    }).bindTooltip(text, { permanent: true, direction: "top", offset: [0, -6] }).addTo(this.pins)
    places.forEach((place, i) => draw(place, String(i + 1)))
    if (pinned) draw(pinned, "new")
  }

  goTo(view) { // once for each press of "Show": the data come again whenever the page is drawn
    if (!view || view.slide !== this.slide.id || view.press === this.press) return
    this.press = view.press
    this.turnTo((view.turn ?? 0) / 90)
    this.focusOn(view.plane ?? this.slide.middle_plane)
    this.map.setView([view.y, view.x], this.zoomOf(view.zoom), { animate: false })
  }

  async take(version) { // the cells of a count, when there are others than those on the screen
    this.wanted = version
    if (!version || this.fetching) return
    while (this.version !== this.wanted) {
      const now = this.wanted
      this.fetching = true
      try {
        const answer = await fetch(new URL(`slides/${this.slide.id}/count`, this.base))
        if (!answer.ok) break
        const count = await answer.json()
        this.version = now
        this.cells.take(count)
        this.cellTools.hidden = !count.version
        this.explain()
        await this.takeTiles()
        this.explain()
      } catch { break } finally { this.fetching = false }
    }
  }

  async takeTiles() { // those of the count, which are many, where their map is shown
    const version = this.version
    if (!this.cells.map || this.tilesVersion === version) return
    try {
      const answer = await fetch(new URL(`slides/${this.slide.id}/count/tiles`, this.base))
      if (!answer.ok) return
      const found = await answer.json()
      if (version !== this.version) return // a later answer has newer ones
      this.cells.takeTiles(found)
      this.tilesVersion = version
      this.cells.draw()
    } catch { /* asked again with the next version */ }
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
      comment: "Click the place. The text is entered on the page.",
    }[this.mode])
    this.box.focus({ preventScroll: true })
  }

  named({ lat, lng }) { // the view around a place, as Python takes it
    return [this.slide.id, lng, lat, this.scale, 90 * this.turn, this.slide.planes > 1 ? this.plane : 0]
  }

  say(text) { this.says.textContent = text; this.says.hidden = !text }

  clicked({ latlng }) {
    if (this.mode === "look") return this.choose(this.cells.shown && this.cells.at(latlng.lng, latlng.lat))
    if (this.mode === "comment") {
      this.send("place", this.named(latlng))
      return this.setMode(this.mode)
    }
    if (this.closed) { this.points = []; this.closed = false }
    this.points.push([latlng.lat, latlng.lng])
    this.measure(this.points)
  }

  moved({ latlng }) {
    if (this.points?.length && !this.closed && this.mode !== "look") {
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
      const size = unit ? `${area.toFixed(0)}${unit}²` : this.area(area)
      this.say(points.length < 3 ? "Click the next corner." : this.closed ? this.inside(points, size) : size)
    }
    for (const point of points) {
      this.L.circleMarker(point, { ...style, radius: 3, fillOpacity: 1 }).addTo(this.marks)
    }
  }

  inside(points, size) {
    if (!this.cells.cells.length) return size
    const found = this.cells.within(points)
    const counted = found.filter(cell => cell[5])
    const numbers = this.cells.types.map(() => 0)
    for (const cell of counted) numbers[cell[4]]++
    const parts = this.cells.types.map(([name], i) => [numbers[i], name.toLowerCase()])
      .filter(([number]) => number).sort((a, b) => b[0] - a[0])
      .map(([number, name]) => `${name} ${number} (${(100 * number / counted.length).toFixed(0)} %)`)
    const rest = found.length - counted.length
    return [size, `${counted.length} classified${parts.length ? `: ${parts.join(", ")}` : ""}`,
      ...(rest ? [`${rest} uncertain or no white cell, not counted`] : [])].join(" · ")
  }

  key(event) {
    if (event.key.toLowerCase() === "w" && !event.ctrlKey && !event.metaKey) this.fit()
    else if (event.key.toLowerCase() === "t" && !event.ctrlKey && !event.metaKey) {
      this.turnTo(this.turn + (event.shiftKey ? -1 : 1))
    } else if (event.key.toLowerCase() === "n" && !event.ctrlKey && !event.metaKey) this.next(1)
    else if (event.key.toLowerCase() === "p" && !event.ctrlKey && !event.metaKey) this.next(-1)
    else if (this.slide.planes > 1 && (event.key === "PageUp" || event.key === "PageDown")) {
      this.focusOn(this.wantedPlane + (event.key === "PageUp" ? 1 : -1))
    } else if (event.key === "Escape" && this.mode !== "look") this.setMode(this.mode)
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
  const { data, parentElement, setTriggerValue } = component
  const base = new URL("api/", location.href)
  let root = parentElement.querySelector(".scope")
  if (!root) {
    put(parentElement, "link", { rel: "stylesheet", href: new URL("viewer/leaflet.css", base) })
    root = put(parentElement, "div", { class: "scope" })
  }
  const old = views.get(root)
  let kept = old
  if (old?.id !== data.slide.id) {
    old?.view?.remove()
    kept = { id: data.slide.id }
    views.set(root, kept)
    kept.opened = load(base).then(
      L => { if (views.get(root) === kept) kept.view = new View(L, root, data, base) },
      () => { root.textContent = "The viewer could not be loaded. Reload the page." })
  }
  kept.opened.then(() => {
    if (!kept.view) return
    kept.view.send = setTriggerValue
    kept.view.take(data.count)
    kept.view.outline(data.regions)
    kept.view.pin(data.places, data.pinned)
    kept.view.goTo(data.shown)
  })
  return () => { views.get(root)?.view?.remove(); views.delete(root) }
}
