/** Light or dark, as what a report is shown in: a browser or a notebook. */

/**
 * Keeps `data-theme` of the document at `light` or `dark`; calls `onChange`
 * after each change.
 * @param {() => void} onChange
 */
export function followSurroundings(onChange) {
  const root = document.documentElement;
  const query = window.matchMedia('(prefers-color-scheme: dark)');
  const apply = () => {
    root.dataset.theme = notebookTheme() ?? (query.matches ? 'dark' : 'light');
    onChange();
  };
  query.addEventListener('change', apply);
  const host = hostDocument();
  if (host) {
    const observer = new MutationObserver(apply);
    observer.observe(host.body, {attributes: true});
    observer.observe(host.documentElement, {attributes: true});
  }
  apply();
}

/** Returns the document around the report's frame, null if there is none. */
function hostDocument() {
  try {
    return window.parent === window ? null : window.parent.document;
  } catch {
    return null;  // of another origin
  }
}

/** Returns the theme of JupyterLab, VS Code or Colab; null if it is unknown. */
function notebookTheme() {
  const host = hostDocument();
  if (!host?.body) return null;
  const {classList, dataset} = host.body;
  const isOf = (dark, light) => dark ? 'dark' : light ? 'light' : null;
  return isOf(dataset.jpThemeLight === 'false', dataset.jpThemeLight === 'true')
    ?? isOf(classList.contains('vscode-dark'),
      classList.contains('vscode-light'))
    ?? isOf(host.documentElement.getAttribute('theme') === 'dark',
      host.documentElement.getAttribute('theme') === 'light');
}
