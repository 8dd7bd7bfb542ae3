// Folds the sidebar once on windows of a tablet's width.
export default function () {
  if (window.innerWidth <= 768 || window.innerWidth >= 1000) return
  document.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click()
}
