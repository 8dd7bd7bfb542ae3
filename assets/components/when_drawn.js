// Sends a message once the browser has drawn the page down to here and has nothing else to do.
const PATIENCE = 1000 // milliseconds; a busy browser is not waited for longer

export default function ({ setTriggerValue }) {
  const say = () => setTriggerValue("drawn", true)
  const idle = window.requestIdleCallback ?? ((act) => setTimeout(act, 200)) // Safari has none
  requestAnimationFrame(() => idle(say, { timeout: PATIENCE }))
}
