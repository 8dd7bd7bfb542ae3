// Lets the browser ask before the page is left, for as long as the component is on the page.
export default function () {
  const ask = (event) => event.preventDefault()
  window.addEventListener("beforeunload", ask)
  return () => window.removeEventListener("beforeunload", ask)
}
