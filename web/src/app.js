// The page: what frames every view, which view it is (the part of the address after #), and the keyboard.
import {render} from 'preact';
import {useEffect, useRef, useState} from 'preact/hooks';
import {KEYS, listen, PAGES} from './keys.js';
import {changed, logout, refresh, start, state, useStore} from './store.js';
import {Guard, html} from './ui.js';
import {Accuracy} from './views/accuracy.js';
import {Camera} from './views/camera.js';
import {Compute} from './views/compute.js';
import {Events} from './views/events.js';
import {Fleet} from './views/fleet.js';
import {Groups} from './views/groups.js';
import {Login} from './views/login.js';
import {Models} from './views/models.js';
import {Network} from './views/network.js';
import {Samples} from './views/samples.js';
import {Settings} from './views/settings.js';
import {clock, GLOSSARY} from './words.js';

const VIEWS = {fleet: Fleet, camera: Camera, accuracy: Accuracy, groups: Groups, compute: Compute, network: Network,
  models: Models, samples: Samples, settings: Settings, events: Events};

const route = () => {
  const [, page = '', id = ''] = location.hash.split('/');
  return {page: page || 'fleet', id: decodeURIComponent(id)};
};

// ---- colours ----

const setTheme = theme => {
  document.documentElement.dataset.theme = theme;
  state.theme++; // charts are painted anew
  changed();
};

const dark = () => (document.documentElement.dataset.theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';

const nextTheme = () => {
  const theme = dark() ? 'light' : 'dark';
  try {
    localStorage.theme = theme;
  } catch { /* it is for this visit then */ }
  setTheme(theme);
};

// ---- the frame ----

const Live = () => state.live ? html`<span class="live"><i class="dot"></i>live</span>`
  : state.live == null ? html`<span class="live">connecting…</span>` : html`<span class="live gone"><i class="dot"></i>no connection</span>`;

const Gone = () => state.live === false && html`<div class="gone-bar" role="alert">No connection since ${clock(state.gone_us)}: ${state.why?.message ?? 'the server does not answer.'}
  What you see is as it was then; the page goes on trying.</div>`;

const Head = ({page, onHelp}) => {
  const [open, setOpen] = useState(false), session = state.session;
  useEffect(() => setOpen(false), [page]);
  return html`<header><a class="brand" href="#/fleet">attune</a>
    <button type="button" class="menu" aria-expanded=${open} aria-controls="pages" onClick=${() => setOpen(!open)}>${PAGES.find(p => p[0] === page)?.[1] ?? 'menu'} ▾</button>
    <nav id="pages" class=${open ? 'open' : ''} aria-label="pages">${PAGES.map(([name, title]) => html`
      <a key=${name} href=${`#/${name}`} aria-current=${page === name ? 'page' : page === 'camera' && name === 'fleet' ? 'true' : undefined} onClick=${() => setOpen(false)}>${title}</a>`)}</nav>
    <div class="right"><${Live}/>
      ${session?.auth && session.user && html`<span class="soft">${session.user} (${session.role})</span><button type="button" onClick=${logout}>log out</button>`}
      <button type="button" onClick=${nextTheme} aria-label="dark or light" title="dark or light (d)">${dark() ? '☀' : '☾'}</button>
      <button type="button" onClick=${onHelp} aria-label="help: words and keys" title="help: words and keys (?)">?</button></div></header>`;
};

const Help = ({onClose}) => {
  const dialog = useRef();
  useEffect(() => dialog.current.showModal(), []);
  return html`<dialog class="help" ref=${dialog} aria-label="words and keys" onClose=${onClose}><div class="head"><h2>Words</h2><button class="beside" type="button" onClick=${() => dialog.current.close()}>close</button></div>
    <dl>${GLOSSARY.map(([word, what]) => html`<dt key=${word}>${word}</dt><dd>${what}</dd>`)}</dl>
    <h2>Keys</h2><dl>${KEYS.map(([key, what]) => html`<dt key=${key}><kbd>${key}</kbd></dt><dd>${what}</dd>`)}</dl></dialog>`;
};

const Nowhere = () => html`<h1 tabindex="-1">Nothing here</h1><p class="notice">This page has no such part. <a href="#/fleet">All cameras</a></p>`;

const titleOf = ({page, id}) => `${id || (PAGES.find(p => p[0] === page)?.[1] ?? 'attune')} – attune`;

// Each entry of the history has its number, and how far its page was scrolled, for who comes back to it.
const scrolled = [];
let entry = 0;

// Whoever goes to another page, by key or link, is at its heading; who goes back, where the page was left.
const arrive = main => {
  main?.querySelector('h1')?.focus({preventScroll: true});
  const known = history.state?.entry;
  entry = known ?? scrolled.length;
  if (known == null)
    history.replaceState({entry}, '');
  scrollTo(0, known == null ? 0 : scrolled[known] ?? 0);
};

const App = () => {
  const [at, go] = useState(route()), [help, setHelp] = useState(false), main = useRef(), first = useRef(true);
  useStore();
  useEffect(() => {
    addEventListener('hashchange', () => {
      scrolled[entry] = scrollY;
      go(route());
    });
    history.scrollRestoration = 'manual';
    history.replaceState({entry}, '');
    listen({onHelp: () => setHelp(true), onTheme: nextTheme});
  }, []);
  useEffect(() => {
    document.title = titleOf(at);
    if (!first.current)
      arrive(main.current);
    first.current = false;
  }, [at.page, at.id]);
  const refused = state.why?.status === 401 || state.session?.auth && !state.session.user;
  if (refused)
    return html`<main ref=${main}><${Login} users=${state.session?.users}/></main>`;
  const View = VIEWS[at.page] ?? Nowhere;
  return html`<a class="skip" href="#main" onClick=${e => {
    e.preventDefault();
    main.current.focus();
  }}>to the content</a>
    <${Head} page=${at.page} onHelp=${() => setHelp(true)}/>
    <main id="main" ref=${main} tabindex="-1"><${Gone}/>
      ${state.why?.status === 403 ? html`<p class="notice" role="alert">You may not look at this: ${state.why.message}</p>` : html`<${Guard} key=${at.page + at.id}><${View} id=${at.id}/><//>`}</main>
    ${help && html`<${Help} onClose=${() => setHelp(false)}/>`}`;
};

try {
  if (localStorage.theme)
    document.documentElement.dataset.theme = localStorage.theme;
} catch { /* as the system has it */ }
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  state.theme++;
  changed();
});
render(html`<${App}/>`, document.getElementById('app'));
start();
const AGES_MS = 5000, REFRESH_MS = 10000;
setInterval(changed, AGES_MS);
setInterval(refresh, REFRESH_MS);
document.addEventListener('visibilitychange', refresh);
