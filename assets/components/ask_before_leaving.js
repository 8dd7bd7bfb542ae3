// Lets the browser ask before the page is left while a file lies in the uploader: it is on its way,
// or is being read. The server empties the uploader once it has kept all. A file that could not be
// sent is marked there, and nothing more is lost with it.
const ON_ITS_WAY = '[data-testid="stFileUploader"] [data-testid="stFileChip"]:not([aria-invalid])'

export default function () {
  const ask = (event) => document.querySelector(ON_ITS_WAY) && event.preventDefault()
  window.addEventListener("beforeunload", ask)
  return () => window.removeEventListener("beforeunload", ask)
}
