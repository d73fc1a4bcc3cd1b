// Parts that several views are made of.
import {Component, h} from 'preact';
import {useEffect, useRef} from 'preact/hooks';
import htm from 'htm';
import {useClasses} from './store.js';

export const html = htm.bind(h);

export const Badge = ({tone, title, children}) => html`<span class=${`badge ${tone ?? ''}`} title=${title}>${children}</span>`;

export const Empty = ({children}) => html`<div class="empty">${children}</div>`;

// Rows of [name, value, what that is].
export const Facts = ({rows, kind = 'facts'}) => html`<dl class=${kind}>${rows.filter(Boolean).map(([name, value, why]) => html`
  <div key=${name}><dt title=${why}>${name}</dt><dd>${value}</dd></div>`)}</dl>`;

// Columns of [name, what that is].
export const Columns = ({of}) => html`<thead><tr>${of.map(([name, why]) => html`<th key=${name} scope="col" title=${why}>${name}</th>`)}</tr></thead>`;

// A view that fails says so, and the other views stay.
export class Guard extends Component {
  static getDerivedStateFromError(error) {
    return {error};
  }

  render({children}, {error}) {
    return error ? html`<p class="notice" role="alert">This view failed, which is a defect of the page (${error.message}).
      <button type="button" onClick=${() => location.reload()}>load it again</button></p>` : children;
  }
}

// What went wrong, or that it is loading; nothing when there is data.
export const Trouble = ({answer, what}) => answer.error
  ? html`<p class="notice" role="alert">${what} could not be loaded. ${answer.error.status === 404 ? 'There is nothing of this name: ' : ''}${answer.error.message}</p>`
  : answer.data ? null : html`<p class="soft" role="status">loading…</p>`;

export const Toggle = ({label, options, value, onChange}) => html`<div class="toggle" role="group" aria-label=${label}>
  ${options.map(([name, text, why]) => html`<button key=${name} type="button" title=${why} aria-pressed=${value === name} onClick=${() => onChange(name)}>${text ?? name}</button>`)}
</div>`;

export const Select = ({label, options, value, onChange}) => html`<label class="field">${label}
  <select value=${value} onChange=${e => onChange(e.target.value)}>
    ${options.map(([name, text]) => html`<option key=${name} value=${name} selected=${name === value}>${text ?? name}</option>`)}
  </select></label>`;

export const Search = ({label, value, onInput}) => html`<label class="field">${label}
  <input type="search" data-search value=${value} onInput=${e => onInput(e.target.value)}/></label>`;

// A question before something changes: what will happen, in words. onDone(true or false).
export const Confirm = ({title, children, verb, busy, error, onDone}) => {
  const dialog = useRef();
  useEffect(() => {
    const before = document.activeElement;
    dialog.current.showModal();
    return () => before.focus(); // removing an open dialog leaves the focus nowhere
  }, []);
  return html`<dialog ref=${dialog} aria-label=${title} onCancel=${e => {
    e.preventDefault();
    onDone(false);
  }}>
    <h2>${title}</h2>${children}
    ${error && html`<p class="notice" role="alert">${error}</p>`}
    <div class="actions"><button type="button" class="primary" disabled=${busy} onClick=${() => onDone(true)}>${busy ? 'working…' : verb}</button>
      <button type="button" onClick=${() => onDone(false)}>cancel</button></div>
  </dialog>`;
};

const CLASSES = 24; // of more nobody tells the colours apart

// What the colours of pictures mean.
export const Legend = ({view}) => {
  const named = useClasses().filter(c => c.name);
  return view !== 'image' && named.length <= CLASSES && html`<p class="key colours">${named.map(c => html`<span key=${c.name}><i class="square" style=${`background: ${c.colour}`}></i>${c.name}</span>`)}</p>`;
};

// A small line of the last points against a ghost.
export const Spark = ({series, width = 132, height = 30}) => {
  const count = Math.min(60, series?.t_us.length ?? 0);
  if (count < 2)
    return html`<svg class="spark" viewBox=${`0 0 ${width} ${height}`} aria-hidden="true"></svg>`;
  const path = key => {
    const values = series[key].slice(-count);
    let pen = 'M';
    return values.map((v, i) => {
      if (v == null) {
        pen = 'M';
        return '';
      }
      const step = `${pen}${(i / (count - 1) * width).toFixed(1)} ${(height - 2 - v * (height - 4)).toFixed(1)}`;
      pen = 'L';
      return step;
    }).join('');
  };
  return html`<svg class="spark" viewBox=${`0 0 ${width} ${height}`} role="img" aria-label="accuracy over the last frames; dashed: without adapting">
    <path class="ghost" d=${path('accuracy_unadapted')}/><path class="line" d=${path('accuracy')}/></svg>`;
};
