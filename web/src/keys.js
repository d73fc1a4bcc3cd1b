// The keyboard: g and a letter go to a page, arrows go through what is listed, ? says so.
export const PAGES = [['fleet', 'Fleet', 'f'], ['accuracy', 'Accuracy', 'a'], ['groups', 'Groups', 'g'], ['compute', 'Compute', 'c'],
  ['network', 'Network', 'n'], ['models', 'Models', 'm'], ['samples', 'Samples', 's'], ['events', 'Events', 'e'], ['settings', 'Settings', 't']];

export const KEYS = [...PAGES.map(([, title, key]) => [`g ${key}`, title]), ['↑ ↓ ← →', 'next camera or row; in a chart: move the cursor'],
  ['Enter', 'open it'], ['[ ]', 'camera before, camera after'], ['/', 'find'], ['d', 'dark or light'], ['?', 'this help'], ['Esc', 'close']];

const CHORD_MS = 1500;

// The listed item that lies in the direction of the key, by where they are on the screen.
const neighbour = (items, from, key) => {
  const here = from.getBoundingClientRect(), across = key === 'ArrowLeft' || key === 'ArrowRight', back = key === 'ArrowUp' || key === 'ArrowLeft';
  let best = null, least = Infinity;
  for (const item of items) {
    const r = item.getBoundingClientRect(), dx = r.left - here.left, dy = r.top - here.top;
    const along = (across ? dx : dy) * (back ? -1 : 1), aside = Math.abs(across ? dy : dx);
    if (item !== from && along > 4 && along + 4 * aside < least) {
      least = along + 4 * aside;
      best = item;
    }
  }
  return best;
};

const walk = key => {
  const items = [...document.querySelectorAll('[data-item]')], at = document.activeElement;
  const next = items.includes(at) ? neighbour(items, at, key) : key === 'ArrowDown' || key === 'ArrowRight' ? items[0] : null;
  next?.focus();
  return !!next;
};

const typing = target => target.matches?.('input, select, textarea') || target.closest?.('dialog');

export const listen = ({onHelp, onTheme}) => {
  let chord = 0;
  addEventListener('keydown', e => {
    if (e.ctrlKey || e.metaKey || e.altKey || typing(e.target))
      return;
    const page = Date.now() - chord < CHORD_MS && PAGES.find(p => p[2] === e.key);
    chord = 0;
    let done = true;
    if (page)
      location.hash = `#/${page[0]}`;
    else if (e.key === 'g')
      chord = Date.now();
    else if (e.key === '?')
      onHelp();
    else if (e.key === 'd')
      onTheme();
    else if (e.key === '/')
      document.querySelector('[data-search]')?.focus();
    else if (e.key === '[' || e.key === ']')
      document.querySelector(e.key === '[' ? '[data-previous]' : '[data-next]')?.click();
    else
      done = e.key.startsWith('Arrow') && walk(e.key);
    if (done)
      e.preventDefault();
  });
};
